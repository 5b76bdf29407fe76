//! Room for recursion: parser and evaluator recurse as deep as an expression, which strangers write, and a task's stack is
//! small. Shallow expressions, which is nearly all, are handled where they are.

use kube_cel::cel::IdedExpr;

/// Bytes for one expression of any depth that is allowed; most are never touched.
const ROOM: usize = 128 << 20;
/// Depth of a tree that an ordinary stack has room for.
const SHALLOW: usize = 12;
/// Brackets and conditions within another that the parser, which needs more than all others, is trusted with.
const FLAT: usize = 3;
/// Operators in a row that it is trusted with.
const SHORT: usize = 60;
/// Deepest nesting of brackets and conditions, and deepest tree.
const DEEPEST: usize = 250;
/// Most operators.
const LONGEST: usize = 4_000;
/// cel-go's words for what is deeper than its own limit.
pub(super) const TOO_DEEP: &str = "expression recursion limit exceeded: 250";

/// Runs `parse` on a source with as much stack as it may need; `None` for one that needs too much, or that breaks the parser.
pub(super) fn parse<T>(source: &str, parse: impl FnOnce() -> T) -> Option<T> {
    let (nesting, operators) = shape(source);
    if nesting > DEEPEST || operators > LONGEST {
        return None;
    }
    // A panic of the library is an error of the expression.
    let parse = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(parse)).ok();
    if nesting > FLAT || operators > SHORT { stacker::grow(ROOM, parse) } else { parse() }
}

/// Runs what recurses over a tree with as much stack as it may need.
pub(super) fn walk<T>(expr: &IdedExpr, run: impl FnOnce() -> T) -> T {
    if super::ast::is_deeper(expr, SHALLOW) { stacker::grow(ROOM, run) } else { run() }
}

/// Makes a tree ready to run.
pub(super) fn lower(expr: &mut IdedExpr) {
    if super::ast::is_deeper(expr, SHALLOW) {
        stacker::grow(ROOM, || super::ast::lower(expr));
    } else {
        super::ast::lower(expr);
    }
}

/// Whether a tree is deeper than cel-go would have it.
pub(super) fn is_too_deep(expr: &IdedExpr) -> bool {
    super::ast::is_deeper(expr, DEEPEST)
}

/// How deep brackets and conditions of a source are nested, and how many operators it has; text in quotes counts too, which
/// only makes it look harder than it is.
fn shape(source: &str) -> (usize, usize) {
    let (mut open, mut deepest, mut conditions, mut operators) = (0_usize, 0, 0, 0);
    for character in source.bytes() {
        match character {
            b'(' | b'[' | b'{' => {
                open += 1;
                deepest = deepest.max(open);
                operators += 1;
            }
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b'?' => conditions += 1,
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'!' | b'=' | b'<' | b'>' | b'&' | b'|' => operators += 1,
            _ => {}
        }
    }
    (deepest + conditions, operators)
}
