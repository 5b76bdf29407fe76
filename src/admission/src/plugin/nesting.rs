//! How deep an expression is nested, told before it is parsed: the parser descends into brackets on the stack it is given.

/// Deepest nesting of brackets and conditionals: what the parser can do on half of the 2 MiB that threads usually have.
pub(super) const DEEPEST: usize = 32;

/// Why an expression is not even parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is nested deeper than [`DEEPEST`].
    Nested,
    /// A text begins at this byte and does not end.
    OpenText(usize),
    /// The expression ends where this bracket should be closed.
    OpenBracket(char),
}

/// Looks at brackets and `?` outside of texts and comments.
///
/// # Errors
/// The expression cannot be parsed safely.
pub(super) fn check(source: &str) -> Result<(), Unfit> {
    let bytes = source.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    // What follows `? :` is one level deeper until the bracket around it ends.
    let mut open: Vec<(char, usize)> = vec![(' ', 0)];
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at = source.get(at..).and_then(|rest| rest.find('\n')).map_or(bytes.len(), |offset| at + offset);
                continue;
            }
            b'"' | b'\'' => {
                at = text_end(bytes, at).ok_or(Unfit::OpenText(at))?;
                continue;
            }
            b'(' | b'[' | b'{' => {
                depth += 1;
                open.push((closing(*byte), 0));
            }
            b')' | b']' | b'}' if open.len() > 1 => depth -= 1 + open.pop().map_or(0, |(_, conditionals)| conditionals),
            b'?' => {
                depth += 1;
                if let Some((_, conditionals)) = open.last_mut() {
                    *conditionals += 1;
                }
            }
            _ => {}
        }
        if depth > DEEPEST {
            return Err(Unfit::Nested);
        }
        at += 1;
    }
    match open.last() {
        Some((close, _)) if open.len() > 1 => Err(Unfit::OpenBracket(*close)),
        _ => Ok(()),
    }
}

fn closing(bracket: u8) -> char {
    match bracket {
        b'(' => ')',
        b'[' => ']',
        _ => '}',
    }
}

/// Where the text that begins at a quote ends; `None` if it does not.
fn text_end(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = *bytes.get(start)?;
    let raw = start.checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(|prefix| prefix.eq_ignore_ascii_case(&b'r'));
    let triple = bytes.get(start..start + 3) == Some(&[quote; 3]);
    let mut at = start + if triple { 3 } else { 1 };
    loop {
        match bytes.get(at)? {
            b'\\' if !raw => at += 2,
            b'\n' | b'\r' if !triple => return None,
            byte if *byte == quote && !triple => return Some(at + 1),
            _ if triple && bytes.get(at..at + 3) == Some(&[quote; 3]) => return Some(at + 3),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("a.b(c)[d] ? {'e': 1} : f", Ok(()))]
    #[case("'((((' + \"]]]]\" + '''a''b'''", Ok(()))]
    #[case(r"'\'(' + r'\' + b'x'", Ok(()))]
    #[case("// it's a comment (\ntrue", Ok(()))]
    #[case("a ? b : c ? d : e", Ok(()))]
    #[case("f(a[1)", Err(Unfit::OpenBracket(')')))]
    #[case("a)", Ok(()))]
    #[case("'abc", Err(Unfit::OpenText(0)))]
    #[case("a + 'b\nc'", Err(Unfit::OpenText(4)))]
    #[case("'''a''", Err(Unfit::OpenText(0)))]
    fn texts_and_comments(#[case] source: &str, #[case] verdict: Result<(), Unfit>) {
        assert_eq!(check(source), verdict);
    }

    #[rstest]
    #[case("(", ")")]
    #[case("[1].all(x, ", ")")]
    #[case("a ? b : ", "")]
    #[case("a[", "]")]
    #[case("D{a: ", "}")]
    fn depths(#[case] open: &str, #[case] close: &str) {
        let nested = |count: usize| format!("{}x{}", open.repeat(count), close.repeat(count));
        assert_eq!(check(&nested(14)), Ok(()));
        assert_eq!(check(&nested(DEEPEST + 1)), Err(Unfit::Nested));
        let side_by_side = vec![nested(14); 10].join(" + ");
        assert!(close.is_empty() || check(&side_by_side) == Ok(()));
    }
}
