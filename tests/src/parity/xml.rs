//! XML as a tree of JSON, for comparison.

use anyhow::{Context, Result, bail};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Value, json};

/// Elements whose mere presence says something.
const SIGNALS: &[&str] = &["acpi", "apic", "smm", "readonly", "shareable", "transient", "source", "nosharepages", "locked", "utc"];

/// Elements below which the order of unlike elements means nothing.
const UNORDERED: &[&str] = &["devices", "features", "hyperv", "domain", "cpu", "clock", "os"];

#[derive(Default)]
struct Element {
    tag: String,
    attributes: Map<String, Value>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn new(start: &BytesStart<'_>, mask: &dyn Fn(&str) -> String) -> Result<Self> {
        let mut attributes = Map::new();
        for attribute in start.attributes() {
            let attribute = attribute.context("an attribute")?;
            let name = attribute.key.local_name().as_ref().to_owned();
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).context("an attribute's value")?;
            attributes.insert(name, json!(mask(&value)));
        }
        Ok(Self { tag: start.local_name().as_ref().to_owned(), attributes, ..Self::default() })
    }

    /// Drops elements that say nothing, and sorts where order means nothing.
    fn tree(mut self, mask: &dyn Fn(&str) -> String) -> Value {
        if UNORDERED.contains(&self.tag.as_str()) {
            self.children.sort_by(|a, b| a.tag.cmp(&b.tag));
        }
        let mut children = Vec::new();
        for child in self.children {
            let signal = SIGNALS.contains(&child.tag.as_str());
            let tree = child.tree(mask);
            let says = |key: &str| tree.get(key).is_some_and(|v| *v != json!({}) && *v != json!([]) && *v != json!(""));
            if signal || says("attributes") || says("text") || says("children") {
                children.push(tree);
            }
        }
        json!({"tag": self.tag, "attributes": self.attributes, "text": mask(self.text.trim()), "children": children})
    }
}

/// The tree of a document; `mask` replaces texts that differ by chance.
///
/// # Errors
/// The text is no XML document.
pub fn tree(text: &str, mask: &dyn Fn(&str) -> String) -> Result<Value> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    loop {
        let done = match reader.read_event().context("reading XML")? {
            Event::Start(start) => {
                open.push(Element::new(&start, mask)?);
                continue;
            }
            Event::Empty(start) => Element::new(&start, mask)?,
            Event::End(_) => open.pop().context("an end without a start")?,
            // Entities in texts are events of their own; both sides lose them alike.
            Event::Text(piece) => {
                if let Some(element) = open.last_mut().filter(|e| e.children.is_empty()) {
                    element.text.push_str(&piece);
                }
                continue;
            }
            Event::Eof => bail!("the document ends early"),
            _ => continue,
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(done),
            None => return Ok(done.tree(mask)),
        }
    }
}
