//! Schedules of CronJobs: whether `cron` of the original understands them, in its words.

/// Words for a field's numbers, from a first number on.
type Names = (&'static [&'static str], u32);

/// A field of a schedule with its least and greatest value and the words for some.
struct Field {
    least: u32,
    most: u32,
    names: Names,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field { least: 0, most: 59, names: (&[], 0) },
    Field { least: 0, most: 23, names: (&[], 0) },
    Field { least: 1, most: 31, names: (&[], 0) },
    Field { least: 1, most: 12, names: (&MONTHS, 1) },
    Field { least: 0, most: 6, names: (&DAYS, 0) },
];

const DESCRIPTORS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// Checks a schedule of five fields, or a descriptor.
///
/// # Errors
/// What is wrong, as `robfig/cron` says it.
pub(super) fn check(schedule: &str) -> Result<(), String> {
    if schedule.starts_with('@') {
        return if DESCRIPTORS.contains(&schedule) || schedule.starts_with("@every ") {
            Ok(())
        } else {
            Err(format!("unrecognized descriptor: {schedule}"))
        };
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    FIELDS
        .iter()
        .zip(fields)
        .try_for_each(|(field, text)| text.split(',').filter(|part| !part.is_empty()).try_for_each(|part| range(field, part)))
}

fn range(field: &Field, text: &str) -> Result<(), String> {
    let (bounds, step) = match text.split('/').collect::<Vec<_>>().as_slice() {
        [bounds] => (*bounds, None),
        [bounds, step] => (*bounds, Some(*step)),
        _ => return Err(format!("too many slashes: {text}")),
    };
    let ends: Vec<&str> = bounds.split('-').collect();
    let (start, end) = match ends.as_slice() {
        ["*" | "?"] => (field.least, field.most),
        [one] => {
            let start = number(field, one)?;
            (start, if step.is_some() { field.most } else { start })
        }
        [start, end] => (number(field, start)?, number(field, end)?),
        _ => return Err(format!("too many hyphens: {text}")),
    };
    let step = step.map_or(Ok(1), integer)?;
    if start < field.least {
        return Err(format!("beginning of range ({start}) below minimum ({}): {text}", field.least));
    }
    if end > field.most {
        return Err(format!("end of range ({end}) above maximum ({}): {text}", field.most));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    Ok(())
}

fn number(field: &Field, text: &str) -> Result<u32, String> {
    let (names, first) = field.names;
    let lower = text.to_lowercase();
    match names.iter().position(|name| *name == lower) {
        Some(index) => Ok(first + u32::try_from(index).unwrap_or(0)),
        None => integer(text),
    }
}

fn integer(text: &str) -> Result<u32, String> {
    match text.parse::<i64>() {
        Ok(number) => u32::try_from(number).map_err(|_| format!("negative number ({number}) not allowed: {text}")),
        Err(_) => Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("*/5 * * * *", None)]
    #[case("0 0-6,12 1 JAN-mar mon", None)]
    #[case("@hourly", None)]
    #[case("@every 1h", None)]
    #[case("@never", Some("unrecognized descriptor: @never"))]
    #[case("bad", Some("expected exactly 5 fields, found 1: [bad]"))]
    #[case("61 * * * *", Some("end of range (61) above maximum (59): 61"))]
    #[case("* * 0 * *", Some("beginning of range (0) below minimum (1): 0"))]
    #[case("5-1 * * * *", Some("beginning of range (5) beyond end of range (1): 5-1"))]
    #[case("*/0 * * * *", Some("step of range should be a positive number: */0"))]
    #[case("x * * * *", Some("failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"))]
    fn schedules(#[case] schedule: &str, #[case] expected: Option<&str>) {
        assert_eq!(check(schedule).err().as_deref(), expected);
    }
}
