//! What containers do whose image is not known: a few plain commands that Jobs and examples are made of. Anything else runs
//! until it is told to stop.

use std::collections::VecDeque;
use std::time::Duration;

use simcluster::ContainerContext;

/// One plain command.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Print(String),
    Sleep(Duration),
    Exit(i32),
}

/// Runs a container to its end.
pub(super) async fn run(container: ContainerContext) -> i32 {
    let Some(steps) = steps(&container.args) else {
        let term = container.term.clone();
        // The pod is not kept as long as the container.
        drop(container);
        term.cancelled().await;
        return 0;
    };
    for step in steps {
        match step {
            Step::Print(text) => container.log.print(&text),
            Step::Sleep(time) => tokio::select! {
                biased;
                // A process without a handler of signals, as the first of its namespace, does not hear this one.
                () = container.kill.cancelled() => return 137,
                () = tokio::time::sleep(time) => {}
            },
            Step::Exit(code) => return code,
        }
    }
    0
}

/// The steps of a command line; `None` if there is anything in it that is not plain.
fn steps(args: &[String]) -> Option<Vec<Step>> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let (program, rest) = words.split_first()?;
    if let ("sh" | "bash" | "ash", ["-c", script]) = (base(program), rest) {
        if script.contains(['$', '`', '|', '>', '<', '(', '{', '"', '\'', '\\']) {
            return None;
        }
        let lines = script.replace("&&", ";");
        let commands = lines.split([';', '\n']).map(str::trim).filter(|line| !line.is_empty());
        return commands.map(|line| plain(&line.split_whitespace().collect::<Vec<_>>())).collect();
    }
    plain(&words).map(|step| vec![step])
}

fn plain(words: &[&str]) -> Option<Step> {
    let mut words: VecDeque<&str> = words.iter().copied().collect();
    let program = words.pop_front()?;
    let first = words.front().copied();
    match (base(program), first) {
        ("true", _) => Some(Step::Sleep(Duration::ZERO)),
        ("false", _) => Some(Step::Exit(1)),
        ("exit", code) => code.unwrap_or("0").parse().ok().map(Step::Exit),
        ("echo", _) => Some(Step::Print(words.make_contiguous().join(" "))),
        ("sleep", Some(time)) => seconds(time).map(Step::Sleep),
        _ => None,
    }
}

/// The program without its folder.
fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

fn seconds(text: &str) -> Option<Duration> {
    let number = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(number)?;
    let factor = match unit {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * factor).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may assume")]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(&["true"], Some(vec![Step::Sleep(Duration::ZERO)]))]
    #[case(&["/bin/false"], Some(vec![Step::Exit(1)]))]
    #[case(&["sleep", "1.5m"], Some(vec![Step::Sleep(Duration::from_secs(90))]))]
    #[case(&["echo", "a", "b c"], Some(vec![Step::Print("a b c".into())]))]
    #[case(&["sh", "-c", "echo hi && sleep 2; exit 3"], Some(vec![
        Step::Print("hi".into()), Step::Sleep(Duration::from_secs(2)), Step::Exit(3)]))]
    #[case(&["sh", "-c", "echo $HOME"], None)]
    #[case(&["nginx"], None)]
    #[case(&["sleep", "infinity"], None)]
    #[case(&["sleep", "-1"], None)]
    #[case(&[], None)]
    fn command_lines(#[case] args: &[&str], #[case] expected: Option<Vec<Step>>) {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        assert_eq!(steps(&args), expected);
    }
}
