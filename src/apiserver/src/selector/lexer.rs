//! Tokens of label selectors, as `k8s.io/apimachinery/pkg/labels` cuts them.

/// A token and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Closed,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    Greater,
    In,
    Less,
    NotEquals,
    NotIn,
    Open,
    Identifier,
    Error,
    End,
}

fn special(c: u8) -> bool {
    matches!(c, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

fn symbol(text: &str) -> Option<Token> {
    Some(match text {
        ")" => Token::Closed,
        "," => Token::Comma,
        "!" => Token::Not,
        "==" => Token::DoubleEquals,
        "=" => Token::Equals,
        ">" => Token::Greater,
        "<" => Token::Less,
        "!=" => Token::NotEquals,
        "(" => Token::Open,
        _ => return None,
    })
}

/// Cuts a selector; the last token is always [`Token::End`].
pub(super) fn tokens(text: &str) -> Vec<(Token, String)> {
    let bytes = text.as_bytes();
    let piece = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&c) = bytes.get(at) {
        if matches!(c, b' ' | b'\t' | b'\r' | b'\n') {
            at += 1;
        } else if special(c) {
            // The longest run of symbols that is a token.
            let start = at;
            let mut best: Option<(Token, usize)> = None;
            let mut end = at;
            while bytes.get(end).copied().is_some_and(special) {
                end += 1;
                match symbol(piece(start, end)) {
                    Some(token) => best = Some((token, end)),
                    None if best.is_some() => break,
                    None => {}
                }
            }
            if let Some((token, end)) = best {
                out.push((token, piece(start, end).to_owned()));
                at = end;
            } else {
                out.push((Token::Error, format!("error expected: keyword found '{}'", piece(start, end))));
                at = end.max(start + 1);
            }
        } else {
            let start = at;
            while bytes.get(at).is_some_and(|&c| !special(c) && !matches!(c, b' ' | b'\t' | b'\r' | b'\n')) {
                at += 1;
            }
            let word = piece(start, at);
            let token = match word {
                "in" => Token::In,
                "notin" => Token::NotIn,
                _ => Token::Identifier,
            };
            out.push((token, word.to_owned()));
        }
    }
    out.push((Token::End, String::new()));
    out
}
