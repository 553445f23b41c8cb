//! Rules about what the project is built with: the image of the builder, and the scripts.

use std::fs;

use crate::harness::workspace;

fn text(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).expect(path)
}

#[test]
fn the_image_of_the_builder_is_pinned_by_its_digest() {
    let text = text("Dockerfile");
    let builder = text.lines().find_map(|line| line.strip_prefix("ARG BUILDER="));
    let (tag, digest) = builder.and_then(|image| image.split_once("@sha256:")).expect("a digest");
    assert!(tag.starts_with("docker.io/library/rust:"), "{tag}");
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    assert!(digest.len() == 64 && digest.chars().all(hex), "{digest}");
    for line in text.lines().filter_map(|line| line.strip_prefix("FROM ")) {
        let from_here = ["--platform=$BUILDPLATFORM ${BUILDER} ", "scratch ", "base "];
        assert!(from_here.iter().any(|image| line.starts_with(image)), "{line} is not pinned");
    }
}

/// `.ci/run` checks that the scripts that it lists parse and can be executed.
#[test]
fn every_script_of_tools_is_checked_by_ci() {
    let run = text(".ci/run");
    let list = run.split_once("scripts=(").and_then(|(_, rest)| rest.split_once(')'));
    let listed: Vec<_> = list.expect("a list").0.split_whitespace().collect();
    for entry in fs::read_dir(workspace().join("tools")).expect("tools") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let path = format!("tools/{name}");
        let bytes = fs::read(workspace().join(&path)).unwrap_or_default();
        let is_shell = [&b"#!/bin/sh"[..], b"#!/usr/bin/env bash"];
        if is_shell.iter().any(|first| bytes.starts_with(first)) {
            assert!(listed.contains(&path.as_str()), "{path} is not in the list of .ci/run");
        }
    }
}
