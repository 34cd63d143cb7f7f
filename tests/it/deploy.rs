//! The deployment files: what they tell sealgate is a configuration that it accepts.

use std::fs;
use std::path::Path;

use crate::support::process::Place;

fn read(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join("src/server/deploy").join(file)).expect(file)
}

/// A place with everything that the configuration names, which is elsewhere in a container.
fn container(configuration: &str) -> Place {
    let place = Place::new();
    place.rotate(&[]);
    place.write("dist/index.html", "<!doctype html>");
    place.write("shop.secret", "not-a-secret");
    let mut text = configuration.to_owned();
    for (there, here) in [
        ("\"/dist\"", "dist"),
        ("\"/run/secrets/sealgate/shop.secret\"", "shop.secret"),
    ] {
        assert!(text.contains(there), "{there} in\n{text}");
        text = text.replace(there, &format!("\"{}\"", place.path(here).display()));
    }
    place.write("sealgate.toml", &text);
    place
}

#[test]
fn the_configuration_for_kubernetes_is_accepted() {
    let text = read("kubernetes/sealgate.toml");
    assert!(text.contains("\"/keys\""));
    let place = container(&text.replace("\"/keys\"", "\"keys\""));
    let outcome = place.run(&["--check", "-c", "sealgate.toml"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn the_configuration_of_the_chart_is_accepted_with_the_environment_that_it_sets() {
    let values = read("helm/values.yaml");
    let (_, block) = values.split_once("\nconfig: |\n").expect("a configuration");
    let text: Vec<&str> = block
        .lines()
        .map(|line| line.strip_prefix("  ").unwrap_or(line))
        .collect();
    let place = container(&text.join("\n"));
    let mut command = place.sealgate(&["--check", "-c", "sealgate.toml"]);
    let mut variables = 0;
    for line in read("helm/templates/_helpers.tpl").lines() {
        let Some((name, value)) = line
            .strip_prefix("- { name: ")
            .and_then(|rest| rest.split_once(" }"))
            .and_then(|(pair, _)| pair.split_once(", value: "))
        else {
            continue;
        };
        let value = value.trim_matches('"');
        command.env(name, if value == "/keys" { "keys" } else { value });
        variables += 1;
    }
    assert_eq!(variables, 2);
    let outcome = crate::support::process::Process::spawn(command).outcome();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn the_unit_leaves_its_own_name_to_the_user_that_systemd_makes() {
    // systemd gives that user the name of the unit, and refuses to start where a group has it.
    let unit = read("sealgate.service");
    let groups = unit
        .lines()
        .find_map(|line| line.strip_prefix("SupplementaryGroups="));
    let group = groups.expect("a group");
    assert_ne!(group, "sealgate");
    for command in ["groupadd --system ", "install -d -m 0750 -g ", "chgrp "] {
        assert!(
            unit.contains(&format!("#   {command}{group} ")),
            "{command}"
        );
    }
}
