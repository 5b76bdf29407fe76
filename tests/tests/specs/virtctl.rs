//! Steps about users of virtctl.

use crate::objects::{rows, text};
use cucumber::gherkin::Step;
use cucumber::{given, then, when};
use ferrovirt_tests::world::SpecWorld;

type Done = anyhow::Result<()>;

async fn run(world: &mut SpecWorld, line: &str, dialogue: &[(String, String)]) -> Done {
    let mut desk = std::mem::take(&mut world.desk);
    let ran = match world.cluster() {
        Ok(cluster) => desk.run(cluster, line, dialogue).await,
        Err(error) => Err(error),
    };
    world.desk = desk;
    ran
}

#[when(regex = r#"^the user runs "(virtctl [^"]+)"$"#)]
async fn runs(world: &mut SpecWorld, line: String) -> Done {
    run(world, &line, &[]).await
}

#[when(regex = r#"^the user runs "(virtctl [^"]+)" and answers:$"#)]
async fn runs_and_answers(world: &mut SpecWorld, step: &Step, line: String) -> Done {
    let cell = |row: &Vec<String>, index: usize| row.get(index).cloned().unwrap_or_default();
    let dialogue: Vec<(String, String)> = rows(step).iter().map(|row| (cell(row, 0), cell(row, 1))).collect();
    run(world, &line, &dialogue).await
}

#[when(regex = r#"^the user runs "(virtctl vnc [^"]+)" and a viewer connects$"#)]
async fn views(world: &mut SpecWorld, line: String) -> Done {
    let mut desk = std::mem::take(&mut world.desk);
    let viewed = match world.cluster() {
        Ok(cluster) => desk.view(cluster, &line).await,
        Err(error) => Err(error),
    };
    world.desk = desk;
    viewed
}

#[then(regex = r#"^virtctl prints "(.*)"$"#)]
async fn prints(world: &mut SpecWorld, wanted: String) -> Done {
    let last = &world.desk.last;
    anyhow::ensure!(last.code == 0 && last.out.lines().any(|line| line.trim_end() == wanted), "{last:?}");
    Ok(())
}

#[then("virtctl prints:")]
async fn prints_all(world: &mut SpecWorld, step: &Step) -> Done {
    let (last, wanted) = (&world.desk.last, text(step));
    anyhow::ensure!(last.code == 0 && last.out.trim() == wanted, "{}\nnot\n{wanted}\n{}", last.out, last.err);
    Ok(())
}

#[then(regex = r#"^virtctl shows "(.*)"$"#)]
async fn shows(world: &mut SpecWorld, wanted: String) -> Done {
    let last = &world.desk.last;
    anyhow::ensure!(last.code == 0 && (last.out.contains(&wanted) || last.err.contains(&wanted)), "{last:?}");
    Ok(())
}

#[then(regex = r#"^virtctl fails with "(.*)"$"#)]
async fn fails(world: &mut SpecWorld, wanted: String) -> Done {
    let last = &world.desk.last;
    anyhow::ensure!(last.code == 1 && last.err.lines().any(|line| line.contains(&wanted)), "{last:?}");
    Ok(())
}

#[then(regex = r#"^the viewer sees the screen of "([^"]+)", (\d+) by (\d+)$"#)]
async fn screen(world: &mut SpecWorld, name: String, width: u16, height: u16) -> Done {
    let seen = world.desk.screen.clone();
    anyhow::ensure!(seen == (name, width, height), "{seen:?}");
    Ok(())
}

#[then(regex = r#"^the file "([^"]+)" is a PNG$"#)]
async fn is_png(world: &mut SpecWorld, path: String) -> Done {
    let content = world.desk.file(&path).unwrap_or_default();
    anyhow::ensure!(content.starts_with(b"\x89PNG\r\n\x1a\n"), "{} bytes: {:?}", content.len(), content.get(..16));
    Ok(())
}

#[given(expr = "the file {string} of {int} bytes on the user's computer")]
#[when(expr = "the file {string} of {int} bytes on the user's computer")]
async fn puts_file(world: &mut SpecWorld, path: String, bytes: usize) {
    world.desk.put_file(&path, vec![7; bytes]);
}

#[then("virtctl prints these lines, among others:")]
async fn prints_lines(world: &mut SpecWorld, step: &Step) -> Done {
    let last = &world.desk.last;
    let mut lines = last.out.lines().map(str::trim_end);
    for wanted in text(step).lines().map(str::trim_end) {
        anyhow::ensure!(last.code == 0 && lines.any(|line| line == wanted), "no {wanted:?} in {last:?}");
    }
    Ok(())
}

#[then(regex = r#"^the Service "([^"]+)" leads to port (\d+) of the pod of the VMI "([^"]+)"$"#)]
async fn service_leads(world: &mut SpecWorld, service: String, port: i64, vmi: String) -> Done {
    let object = world.get("Service", &service).await?;
    let pod = world.until_pod(&vmi, "a pod", |pod| pod.is_some()).await?.unwrap_or_default();
    let selector = object["spec"]["selector"].as_object().cloned().unwrap_or_default();
    anyhow::ensure!(!selector.is_empty(), "no selector: {object}");
    let fits = selector.iter().all(|(key, value)| pod["metadata"]["labels"].get(key) == Some(value));
    anyhow::ensure!(fits && object["spec"]["ports"][0]["targetPort"] == port, "{}", object["spec"]);
    Ok(())
}
