//! The measured cases: what this project makes of them is what KubeVirt makes of them.

#![allow(clippy::unwrap_used, reason = "tests may assume")]

use ferrovirt_tests::parity::compare::Tally;
use ferrovirt_tests::parity::{Case, pack, render, schema};

/// Scores an area and prints how often each stage matched.
#[allow(clippy::print_stdout, reason = "the measurement")]
fn measure(area: &str, stages: &[&str]) -> Tally {
    let host = pack::host().unwrap();
    let mut tally = Tally::default();
    for packed in pack::cases(area).unwrap() {
        let case = Case::new(packed.documents).unwrap();
        let got = render(area, &case, Some(&host)).unwrap_or_else(|e| panic!("{area}/{}: {e:#}", packed.name));
        if area == "vmi" {
            tally.score_vmi(&packed.name, &packed.expected, &got);
        } else {
            tally.score(&packed.name, &packed.expected, &got, stages);
        }
    }
    for (stage, score) in &tally.stages {
        println!("{area}: {stage} {} of {}", score.hits, score.total);
    }
    tally
}

fn holds(area: &str, stages: &[&str]) {
    let tally = measure(area, stages);
    assert!(!tally.stages.is_empty(), "{area} has no cases");
    assert!(tally.misses.is_empty(), "{} misses:\n{}", tally.misses.len(), tally.misses.join("\n"));
}

#[test]
fn instances() {
    holds("vmi", &[]);
}

#[test]
fn virtual_machines() {
    holds("vm", &[]);
}

#[test]
fn instance_types() {
    holds("instancetype", &[]);
}

#[test]
fn other_kinds() {
    holds("admission-other", &[]);
}

#[test]
fn migration_policies() {
    holds("migration-policy", &[]);
}

#[test]
fn status_of_virtual_machines() {
    holds("status", &[]);
}

#[test]
fn lifecycle_of_instances() {
    holds("vmi-lifecycle", &[]);
}

#[test]
fn phases_of_instances() {
    holds("vmi-status", &[]);
}

#[test]
#[allow(clippy::print_stdout, reason = "the measurement")]
fn custom_resource_definitions() {
    let measured = schema::measured(&pack::text("schema.tsv").unwrap());
    let made = schema::made().unwrap();
    let (mut hits, mut total, mut misses) = (0, 0, Vec::new());
    for (name, want) in &measured {
        let Some(have) = made.get(name) else {
            misses.push(format!("{name} is missing"));
            continue;
        };
        if want.header != have.header {
            misses.push(format!("{name}: want {:?}, got {:?}", want.header, have.header));
        }
        total += want.fields.len();
        for (path, field) in &want.fields {
            match have.fields.get(path) {
                Some(mine) if mine == field => hits += 1,
                mine => misses.push(format!("{name}: {path}: want {field:?}, got {mine:?}")),
            }
        }
        misses.extend(have.fields.keys().filter(|p| !want.fields.contains_key(*p)).map(|p| format!("{name}: {p} is extra")));
    }
    println!("CRDs: {hits} of {total} fields exact");
    assert!(misses.is_empty() && total > 11_000, "{} misses:\n{}", misses.len(), misses.join("\n"));
}
