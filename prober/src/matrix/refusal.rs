//! Why a command could not run a prober: what kubectl and shells say, in our words. Only what stays
//! so until somebody changes a setting is here. What the cluster or the mesh can cause is not: a pod
//! that is gone, an API server that does not answer. Pure.

/// A line of stderr: what stands before and after its variable part, and our words, where `{}` is
/// that part. The first that fits counts; a line without words is not a refusal.
type Refusal = (&'static str, &'static str, &'static str);

const REFUSALS: &[Refusal] = &[
    (
        "error: context \"",
        "\" does not exist",
        "kubectl has no context '{}'; 'kubectl config get-contexts' lists those that exist",
    ),
    (
        "error: context was not found for specified context: ",
        "",
        "kubectl has no context '{}'; 'kubectl config get-contexts' lists those that exist",
    ),
    (
        "error: cluster \"",
        "\" does not exist",
        "the configuration of kubectl has no cluster '{}', which the context names",
    ),
    (
        "error: auth info \"",
        "\" does not exist",
        "the configuration of kubectl has no user '{}', which the context names",
    ),
    (
        "error: error loading config file \"",
        "\"",
        "kubectl cannot read its configuration file '{}'; correct the file or KUBECONFIG",
    ),
    (
        "The connection to the server localhost:8080 was refused",
        "",
        "kubectl has no configuration; name its file in KUBECONFIG",
    ),
    (
        "error: You must be logged in to the server",
        "",
        "kubectl is not logged in to the cluster; renew the credentials of the context",
    ),
    (
        "getting credentials: exec: executable ",
        " not found",
        "kubectl needs the program '{}' to log in; install it",
    ),
    ("Error from server (Forbidden): ", "", "the account of the context lacks a permission: {}"),
    // A pod that is named can be gone because of a rollout or a node.
    ("Error from server (NotFound): pods \"", "\" not found", ""),
    (
        "Error from server (NotFound): namespaces \"",
        "\" not found",
        "the cluster has no namespace '{}'",
    ),
    ("Error from server (NotFound): ", " not found", "the namespace has no {}"),
    (
        "error: the server doesn't have a resource type \"",
        "\"",
        "the cluster has no kind '{}'; write a workload such as deploy/sleep",
    ),
    ("error: container ", " not found in pod", "the pod has no container '{}'"),
    ("error: container ", " is not valid for pod", "the pod has no container '{}'"),
    (
        "exec: \"",
        "\": executable file not found",
        "the container has no program '{}'; name another container, or the path with 'prober:'",
    ),
    (
        "exec: \"",
        "\": stat ",
        "the container has no program '{}'; name another container, or the path with 'prober:'",
    ),
];

/// The exit codes of shells, env and container runtimes for a program that is not there, or that is
/// not executable.
const NO_PROGRAM: [i32; 2] = [126, 127];
/// The exit code of a prober that could not run.
const COULD_NOT_RUN: i32 = usage::WRONG_USAGE as i32;

/// Why a command whose stdout was empty could not run a prober; `None` if the reason is another one.
pub(super) fn read(stderr: &[String], code: Option<i32>) -> Option<String> {
    let fits = |line: &String| {
        let found = REFUSALS.iter().find_map(|(before, after, words)| {
            let (_, rest) = line.split_once(before)?;
            let part = if after.is_empty() { rest } else { rest.split_once(after)?.0 };
            Some((*words, part.trim().replace('"', "'")))
        });
        found.filter(|(words, _)| !words.is_empty()).map(|(words, part)| words.replace("{}", &part))
    };
    if let Some(reason) = stderr.iter().find_map(fits) {
        return Some(reason);
    }
    let last = last_words(stderr).unwrap_or_default();
    match code? {
        COULD_NOT_RUN => last.strip_prefix("prober: ").map(str::to_owned),
        code if NO_PROGRAM.contains(&code) => Some(format!(
            "the program cannot be started there: {last}; name its path with 'prober:'"
        )),
        _ => None,
    }
}

/// The last line that says something: kubectl ends with the exit code of the command.
pub(super) fn last_words(stderr: &[String]) -> Option<&str> {
    let says = |line: &&String| !line.starts_with("command terminated with exit code");
    let last = stderr.iter().rev().find(says).or(stderr.last());
    last.map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_stays_so_is_a_refusal_in_our_words() {
        for (said, code, part) in [
            (
                "error: context \"mars\" does not exist",
                1,
                "kubectl has no context 'mars'; 'kubectl",
            ),
            ("W1: odd\nerror: context \"a b\" does not exist\n", 1, "no context 'a b'"),
            ("error: error loading config file \"/x\": yaml: line 2", 1, "configuration file '/x'"),
            (
                "The connection to the server localhost:8080 was refused - did you specify the right \
                 host or port?",
                1,
                "kubectl has no configuration",
            ),
            (
                "Error from server (Forbidden): pods \"s\" is forbidden: User \"u\" cannot create",
                1,
                "lacks a permission: pods 's' is forbidden: User 'u' cannot create",
            ),
            ("Error from server (NotFound): namespaces \"n\" not found", 1, "no namespace 'n'"),
            (
                "Error from server (NotFound): deployments.apps \"sleep\" not found",
                1,
                "the namespace has no deployments.apps 'sleep'",
            ),
            ("error: container x not found in pod sleep-1_ns", 1, "the pod has no container 'x'"),
            (
                "OCI runtime exec failed: exec failed: unable to start container process: exec: \
                 \"prober\": executable file not found in $PATH: unknown\ncommand terminated with \
                 exit code 126",
                126,
                "the container has no program 'prober'",
            ),
            ("env: 'no-prober': No such file or directory", 127, "env: 'no-prober': No such file"),
            (
                "prober: the target did not answer\ncommand terminated with exit code 2",
                2,
                "the target did not answer",
            ),
        ] {
            let reason = read(&lines(said), Some(code)).unwrap_or_else(|| panic!("{said}"));
            assert!(reason.contains(part), "{said}: {reason}");
            assert_eq!(reason.lines().count(), 1, "{reason}");
        }
    }

    #[test]
    fn what_the_cluster_can_cause_is_not() {
        for (said, code) in [
            ("Error from server (NotFound): pods \"sleep-1\" not found", Some(1)),
            ("The connection to the server 34.1.2.3:443 was refused - did you specify", Some(1)),
            ("Unable to connect to the server: dial tcp: i/o timeout", Some(1)),
            ("error: unable to upgrade connection: container not found (\"prober\")", Some(1)),
            ("error: cannot exec into a container in a completed pod; current phase", Some(1)),
            ("ssh: connect to host x port 22: Connection refused", Some(255)),
            ("odd", Some(2)),
            ("prober: odd", Some(1)),
            ("", Some(3)),
            ("", None),
        ] {
            assert_eq!(read(&lines(said), code), None, "{said}");
        }
    }

    #[test]
    fn the_exit_code_that_kubectl_adds_says_nothing() {
        let both = lines("first\nthe cause\ncommand terminated with exit code 1");
        assert_eq!(last_words(&both), Some("the cause"));
        let alone = lines("command terminated with exit code 1");
        assert_eq!(last_words(&alone), Some("command terminated with exit code 1"));
        assert_eq!(last_words(&[]), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(\\PC{0,9}|error: |container |exec: \"|\" |not found|\n){0,9}", code: i32) {
            let _ = (read(&lines(&text), Some(code)), last_words(&lines(&text)).is_some());
        }
    }
}
