//! Paths of values, built on the stack while walking and written only when something is to be said.

use std::fmt::Write as _;

/// Where a walk is: a linked list from the value back to the root.
#[derive(Debug, Clone, Copy)]
pub enum Path<'a> {
    /// The whole object.
    Root,
    /// A field, printed `.name`.
    Field(&'a Path<'a>, &'a str),
    /// A key of a map, printed `[name]`.
    Key(&'a Path<'a>, &'a str),
    /// An element of a list, printed `[0]`.
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    /// A field below.
    #[must_use]
    pub fn field(&'a self, name: &'a str) -> Self {
        Path::Field(self, name)
    }

    /// A key of a map below.
    #[must_use]
    pub fn key(&'a self, name: &'a str) -> Self {
        Path::Key(self, name)
    }

    /// A list element below.
    #[must_use]
    pub fn index(&'a self, index: usize) -> Self {
        Path::Index(self, index)
    }

    /// Whether this is the whole object.
    pub fn is_root(&self) -> bool {
        matches!(self, Path::Root)
    }

    fn write(&self, out: &mut String) {
        match self {
            Path::Root => {}
            Path::Field(parent, name) => {
                parent.write(out);
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(name);
            }
            Path::Key(parent, name) => {
                parent.write(out);
                out.push('[');
                out.push_str(name);
                out.push(']');
            }
            Path::Index(parent, index) => {
                parent.write(out);
                let _ = write!(out, "[{index}]");
            }
        }
    }

    /// `spec.parts[0].name`; the root gives an empty text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// As a field error names it: the root is `<nil>`, the name of Go's nil path.
    pub fn field_name(&self) -> String {
        if self.is_root() { NIL.to_owned() } else { self.text() }
    }
}

/// What Kubernetes prints for the path of a whole object.
pub const NIL: &str = "<nil>";
