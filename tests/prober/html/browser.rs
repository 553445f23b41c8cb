//! A headless Chromium, told what to do by the DevTools protocol, and all that it has to
//! complain about: requests, errors, what is written to the console.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use crate::harness::{Background, DEADLINE, finish, wait_until, workspace};

/// A browser with one page; it ends when dropped.
pub(crate) struct Browser {
    process: Background,
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    calls: u64,
    /// What it said without being asked, since the last [`Browser::open`].
    events: Vec<Value>,
    _profile: TempDir,
}

/// What a browser noticed of a page.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Noticed {
    /// The URLs that were asked for.
    pub(crate) requests: Vec<String>,
    /// Exceptions, lines of the console, what the browser refused.
    pub(crate) complaints: Vec<String>,
}

impl Browser {
    /// Starts one with a profile of its own, which talks to nobody but the test.
    pub(crate) fn start() -> Self {
        let found = finish(&mut Command::new(workspace().join("tools/find-chromium")));
        assert_eq!(found.code, 0, "{}", found.stderr);
        let profile = tempfile::tempdir().expect("a folder");
        let mut chromium = Command::new(found.stdout.trim_end());
        chromium.env("HOME", profile.path()).args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--no-proxy-server",
            "--remote-debugging-port=0",
            "about:blank",
        ]);
        chromium.arg(format!("--user-data-dir={}", profile.path().display()));
        let mut process = Background::start(&mut chromium);
        let url = process.wait_for("the address of its DevTools", |line| {
            line.strip_prefix("DevTools listening on ").map(str::to_owned)
        });
        let address = url.split('/').nth(2).expect("an address");
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let (socket, _) = client(&url, stream).expect("a handshake");
        let (session, events) = (None, Vec::new());
        let mut browser = Self { process, socket, session, calls: 0, events, _profile: profile };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", &target);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser.call("Emulation.setFocusEmulationEnabled", &json!({"enabled": true}));
        browser
    }

    /// Opens a file, and waits until all of it is there.
    pub(crate) fn open(&mut self, file: &Path) {
        self.open_url(&format!("file://{}", file.display()));
    }

    /// Opens a URL, and waits until all of it is there.
    pub(crate) fn open_url(&mut self, url: &str) {
        self.events.clear();
        let opened = self.call("Page.navigate", &json!({"url": url}));
        assert!(opened.get("errorText").is_none(), "{url}: {opened}");
        wait_until("the page is there", || {
            let state = self.evaluate("location.href + ' ' + document.readyState");
            (state == format!("{url} complete")).then_some(())
        });
    }

    /// Shows the page as on a screen of this width in CSS pixels, in light or dark.
    pub(crate) fn screen(&mut self, width: u32, dark: bool) {
        let screen =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", &screen);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true});
        let said = self.call("Runtime.evaluate", &asked);
        assert!(said.get("exceptionDetails").is_none(), "{said}");
        said["result"]["value"].clone()
    }

    /// Presses a key, such as `Tab`.
    pub(crate) fn press(&mut self, key: &str, code: u32) {
        for kind in ["rawKeyDown", "keyUp"] {
            let event =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// What was noticed since the page was opened.
    pub(crate) fn noticed(&mut self) -> Noticed {
        // What was said before the answer to this is here then.
        self.evaluate("0");
        let mut noticed = Noticed::default();
        for event in &self.events {
            let params = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Network.requestWillBeSent" => {
                    let url = params["request"]["url"].as_str().expect("a URL");
                    noticed.requests.push(url.to_owned());
                }
                "Runtime.exceptionThrown" | "Log.entryAdded" | "Runtime.consoleAPICalled" => {
                    noticed.complaints.push(params.to_string());
                }
                _ => {}
            }
        }
        noticed
    }

    #[track_caller]
    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut call = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(call.to_string())).expect("it listens");
        loop {
            let text = match self.socket.read() {
                Ok(Message::Text(text)) => text,
                Ok(_) => continue,
                // A child of another test ended: a read with a limit of time is not begun again
                // by the system after a signal (signal(7)).
                Err(Error::Io(error)) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => panic!("it does not answer in time: {error}"),
            };
            let mut message: Value = serde_json::from_str(&text).expect("JSON");
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own processes end with it, if it is told so and not only killed.
        self.session = None;
        let call = json!({"id": 0, "method": "Browser.close"}).to_string();
        if self.socket.send(Message::text(call)).is_ok() {
            while self.socket.read().is_ok() {}
            self.process.wait();
        }
    }
}
