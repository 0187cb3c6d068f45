//! Text templates such as `"{title}. {attributes}"`.

use std::str::FromStr;

use crate::{Error, Result};

/// A text with named fields, `{{` and `}}` standing for braces.
///
/// A field without text takes its separator with it. What stands between two fields is divided
/// so: closing brackets and quotes go with the field before, the rest with the field after.
/// Where the first text written is not the first field, leading separators (white space and
/// `. , ; : | / -`) are cut. So `"{title} ({year}). {tags}"` gives `Heat (1995). Crime`,
/// `Heat. Crime` and `Crime`, depending on what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    fields: Vec<Field>,
    /// The whole text of a template without fields.
    constant: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Field {
    name: String,
    before: String,
    after: String,
}

impl Template {
    /// The names of the fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// Joins fields by `". "`, each as its name and the label before it.
    pub(crate) fn joining<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> Template {
        let mut joined: Vec<Field> = Vec::new();
        for (name, label) in fields {
            let separator = if joined.is_empty() { "" } else { ". " };
            let before = format!("{separator}{label}");
            joined.push(Field { name: name.into(), before, after: String::new() });
        }
        Template { fields: joined, constant: String::new() }
    }

    /// The text, where `write` appends the value of the field with the given number.
    pub fn render(&self, mut write: impl FnMut(usize, &mut String)) -> String {
        let mut out = self.constant.clone();
        let mut value = String::new();
        for (at, field) in self.fields.iter().enumerate() {
            value.clear();
            write(at, &mut value);
            if value.is_empty() {
                continue;
            }
            let before = field.before.as_str();
            let first_written = out.is_empty() && at > 0;
            out.push_str(if first_written {
                before.trim_start_matches(is_separator)
            } else {
                before
            });
            out.push_str(&value);
            out.push_str(&field.after);
        }
        out
    }
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || ".,;:|/-–—".contains(c)
}

fn is_closing(c: char) -> bool {
    ")]}>\"'»”’".contains(c)
}

impl FromStr for Template {
    type Err = Error;

    fn from_str(text: &str) -> Result<Template> {
        let fault = |message: String| Error::Config(format!("text template `{text}`: {message}"));
        let mut fields: Vec<Field> = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '{' | '}' if chars.peek() == Some(&c) => {
                    chars.next();
                    literal.push(c);
                }
                '{' => {
                    let mut name = String::new();
                    let closed = chars.by_ref().any(|c| {
                        if c != '}' {
                            name.push(c);
                        }
                        c == '}'
                    });
                    let name = name.trim();
                    if !closed {
                        return Err(fault("`{` without `}`".into()));
                    }
                    if name.is_empty() || name.contains('{') {
                        return Err(fault("`{}` must hold the name of a column".into()));
                    }
                    let before = divide(&std::mem::take(&mut literal), fields.last_mut());
                    fields.push(Field { name: name.to_owned(), before, after: String::new() });
                }
                '}' => return Err(fault("`}` without `{`".into())),
                c => literal.push(c),
            }
        }
        match fields.last_mut() {
            Some(last) => last.after = literal,
            None if literal.trim().is_empty() => return Err(fault("it is empty".into())),
            None => return Ok(Template { fields, constant: literal }),
        }
        Ok(Template { fields, constant: String::new() })
    }
}

/// Gives the closing part of a literal to the field before it and returns the rest.
fn divide(literal: &str, previous: Option<&mut Field>) -> String {
    let Some(previous) = previous else { return literal.to_owned() };
    let rest = literal.trim_start_matches(is_closing);
    previous.after = literal[..literal.len() - rest.len()].to_owned();
    rest.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, values: &[&str]) -> String {
        let template: Template = template.parse().unwrap();
        template.render(|at, out| out.push_str(values[at]))
    }

    #[test]
    fn missing_fields_take_their_separators_along() {
        let template = "{title} ({year}). {tags}";
        assert_eq!(render(template, &["Heat", "1995", "Crime"]), "Heat (1995). Crime");
        assert_eq!(render(template, &["Heat", "", "Crime"]), "Heat. Crime");
        assert_eq!(render(template, &["", "", "Crime"]), "Crime");
        assert_eq!(render(template, &["", "1995", ""]), "(1995)");
        assert_eq!(render(template, &["Heat", "", ""]), "Heat");
        assert_eq!(render(template, &["", "", ""]), "");
    }

    #[test]
    fn labels_and_braces_stay() {
        let template = "Title: {a}; brand: {b} {{x}}";
        assert_eq!(render(template, &["A", "B"]), "Title: A; brand: B {x}");
        assert_eq!(render(template, &["", "B"]), "brand: B {x}");
        assert_eq!(render("always this", &[]), "always this");
    }

    #[test]
    fn broken_templates_are_refused() {
        let message = |text: &str| text.parse::<Template>().unwrap_err().to_string();
        assert!(message("{title").contains("`{` without `}`"));
        assert!(message("title}").contains("`}` without `{`"));
        assert!(message("{}").contains("name of a column"));
        assert!(message("  ").contains("empty"));
    }
}
