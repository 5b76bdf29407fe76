//! The parser of [`super::JsonPath`].

use serde_json::Value;

use super::{Comparator, Filter, Operand, Step};

/// Deepest nesting of filters.
const MAX_DEPTH: usize = 16;

pub(super) fn path(text: &str) -> Result<Vec<Step>, String> {
    let text = text.trim();
    let inner = match (text.strip_prefix('{'), text.strip_suffix('}')) {
        (Some(_), Some(_)) => text.get(1..text.len().saturating_sub(1)).unwrap_or_default(),
        (None, None) => text,
        _ => return Err("unclosed action".to_owned()),
    };
    let mut parser = Parser { text: inner.trim(), depth: 0 };
    if let Some(rest) = parser.text.strip_prefix(['$', '@']) {
        parser.text = rest;
    }
    let steps = parser.steps()?;
    if parser.text.is_empty() { Ok(steps) } else { Err(format!("unrecognized character in action: {}", escaped(parser.text))) }
}

fn escaped(text: &str) -> String {
    text.chars().next().map_or_else(|| "end".to_owned(), |c| format!("U+{:04X} '{c}'", c as u32))
}

struct Parser<'a> {
    text: &'a str,
    depth: usize,
}

impl Parser<'_> {
    fn eat(&mut self, prefix: &str) -> bool {
        match self.text.strip_prefix(prefix) {
            Some(rest) => {
                self.text = rest;
                true
            }
            None => false,
        }
    }

    fn space(&mut self) {
        self.text = self.text.trim_start();
    }

    fn steps(&mut self) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        let mut first = true;
        loop {
            if self.eat("..") {
                steps.push(Step::Descend);
                if !self.text.starts_with(['[', '.']) {
                    steps.push(self.name()?);
                }
            } else if self.eat(".") {
                if !self.text.is_empty() && !self.text.starts_with('[') {
                    steps.push(self.name()?);
                }
            } else if self.eat("[") {
                steps.push(self.brackets()?);
            } else if first && self.text.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                steps.push(self.name()?);
            } else {
                return Ok(steps);
            }
            first = false;
        }
    }

    fn name(&mut self) -> Result<Step, String> {
        let mut name = String::new();
        let mut quoted = false;
        let mut end = self.text.len();
        for (at, c) in self.text.char_indices() {
            if quoted {
                name.push(c);
                quoted = false;
            } else if c == '\\' {
                quoted = true;
            } else if matches!(c, '.' | '[' | ']' | ')' | '=' | '!' | '<' | '>' | ',' | ' ' | '|' | '&' | '{' | '}') {
                end = at;
                break;
            } else {
                name.push(c);
            }
        }
        self.text = self.text.get(end..).unwrap_or_default();
        match name.as_str() {
            "" => Err("unexpected end of path".to_owned()),
            "*" => Ok(Step::Wildcard),
            _ => Ok(Step::Field(name)),
        }
    }

    fn brackets(&mut self) -> Result<Step, String> {
        self.space();
        if self.eat("?(") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err("filters nested too deeply".to_owned());
            }
            let filter = self.filter()?;
            self.depth -= 1;
            self.space();
            if !(self.eat(")") && self.eat("]")) {
                return Err("unterminated filter".to_owned());
            }
            return Ok(Step::Filter(Box::new(filter)));
        }
        let mut parts = Vec::new();
        loop {
            self.space();
            parts.push(self.subscript()?);
            self.space();
            if self.eat("]") {
                break;
            }
            if !self.eat(",") {
                return Err("unterminated array".to_owned());
            }
        }
        match <[Step; 1]>::try_from(parts) {
            Ok([only]) => Ok(only),
            Err(parts) => Ok(Step::Union(parts)),
        }
    }

    fn subscript(&mut self) -> Result<Step, String> {
        if self.eat("*") {
            return Ok(Step::Wildcard);
        }
        if self.text.starts_with(['\'', '"']) {
            return self.quoted().map(Step::Field);
        }
        let from = self.integer()?;
        if !self.eat(":") {
            return from.map(Step::Index).ok_or_else(|| format!("invalid array index {}", escaped(self.text)));
        }
        let to = self.integer()?;
        let step = if self.eat(":") { self.integer()?.unwrap_or(1) } else { 1 };
        if step <= 0 {
            return Err("step must be > 0".to_owned());
        }
        Ok(Step::Slice { from, to, step })
    }

    fn integer(&mut self) -> Result<Option<i64>, String> {
        let end = self.text.find(|c: char| !(c.is_ascii_digit() || c == '-')).unwrap_or(self.text.len());
        let (digits, rest) = self.text.split_at_checked(end).unwrap_or((self.text, ""));
        if digits.is_empty() {
            return Ok(None);
        }
        let number = digits.parse().map_err(|_| format!("invalid array index {digits}"))?;
        self.text = rest;
        Ok(Some(number))
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut chars = self.text.char_indices();
        let Some((_, quote)) = chars.next() else { return Err("unterminated quoted string".to_owned()) };
        let mut out = String::new();
        let mut escape = false;
        for (at, c) in chars {
            if escape {
                out.push(match c {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                });
                escape = false;
            } else if c == '\\' {
                escape = true;
            } else if c == quote {
                self.text = self.text.get(at + 1..).unwrap_or_default();
                return Ok(out);
            } else {
                out.push(c);
            }
        }
        Err("unterminated quoted string".to_owned())
    }

    fn filter(&mut self) -> Result<Filter, String> {
        self.space();
        let left = self.operand()?;
        self.space();
        let comparator = [
            ("==", Comparator::Equal),
            ("!=", Comparator::NotEqual),
            ("<=", Comparator::LessOrEqual),
            (">=", Comparator::GreaterOrEqual),
            ("<", Comparator::Less),
            (">", Comparator::Greater),
        ]
        .into_iter()
        .find_map(|(text, comparator)| self.eat(text).then_some(comparator));
        let Some(comparator) = comparator else {
            return Ok(Filter { left, comparator: Comparator::Exists, right: Operand::Literal(Value::Null) });
        };
        self.space();
        let right = self.operand()?;
        Ok(Filter { left, comparator, right })
    }

    fn operand(&mut self) -> Result<Operand, String> {
        if self.text.starts_with(['\'', '"']) {
            return self.quoted().map(|text| Operand::Literal(Value::from(text)));
        }
        let absolute = self.text.starts_with('$');
        if self.eat("@") || self.eat("$") {
            return Ok(Operand::Path { steps: self.steps()?, absolute });
        }
        if self.text.starts_with('.') {
            return Ok(Operand::Path { steps: self.steps()?, absolute: false });
        }
        let end = self.text.find([')', ']', ' ', '=', '!', '<', '>']).unwrap_or(self.text.len());
        let (word, rest) = self.text.split_at_checked(end).unwrap_or((self.text, ""));
        let value = match word {
            "true" => Value::from(true),
            "false" => Value::from(false),
            _ => match (word.parse::<i64>(), word.parse::<f64>()) {
                (Ok(number), _) => Value::from(number),
                (_, Ok(number)) => Value::from(number),
                _ => return Err(format!("unrecognized identifier {word}")),
            },
        };
        self.text = rest;
        Ok(Operand::Literal(value))
    }
}
