//! What stands around a prompt, from the model's own chat template.
//!
//! Templates are Jinja. There are as many as models, and a model is only as good as its format is
//! right, so they are run, not guessed: `minijinja` with the methods of Python is small and runs
//! what models come with. That happens once, with placeholders for the texts: no user's text
//! passes through a template, and what the template wrote can be told from what a user did.

use std::io::{self, Write};

use minijinja::{Environment, Error, ErrorKind, context};

use super::tokens::Part;

/// Steps that a template may take: those of models take hundreds.
const FUEL: u64 = 1 << 16;
/// Bytes that a template may write, and be long.
const MAX_BYTES: usize = 1 << 20;

/// Stand for the texts. Unicode leaves these characters to private use, so that templates, which
/// change spaces at most, have nothing to do with them.
const SYSTEM: &str = "\u{f8f0}system\u{f8f1}";
const USER: &str = "\u{f8f0}user\u{f8f1}";

/// A conversation of one prompt, up to where the answer begins.
#[derive(Debug)]
pub(super) struct Template {
    parts: Vec<Piece>,
}

#[derive(Debug, PartialEq)]
enum Piece {
    Frame(String),
    System(String),
    Prompt,
}

/// Texts of tokens that templates ask for by name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Named<'a> {
    pub(super) bos: &'a str,
    pub(super) eos: &'a str,
}

impl Template {
    /// Runs the template `source` with `system`, if there is one, before the prompt. A model
    /// without a template has learned to go on, not to answer: it goes on from `system`, an empty
    /// line and the prompt.
    pub(super) fn new(
        source: Option<&str>,
        system: Option<&str>,
        named: Named<'_>,
    ) -> Result<Template, String> {
        let frame = match source {
            Some(source) => frame(source, system.is_some(), named)?,
            None => joined(system.is_some()),
        };
        if !frame.contains(USER) {
            return Err("it leaves the prompt out".into());
        }
        let mut parts = Vec::new();
        for (index, text) in frame.split(USER).enumerate() {
            if index > 0 {
                parts.push(Piece::Prompt);
            }
            for (index, text) in text.split(SYSTEM).enumerate() {
                if index > 0 {
                    parts.push(Piece::System(system.unwrap_or_default().into()));
                }
                parts.push(Piece::Frame(text.into()));
            }
        }
        Ok(Template { parts })
    }

    /// The conversation about `prompt`.
    pub(super) fn parts<'a>(&'a self, prompt: &'a str) -> Vec<Part<'a>> {
        let part = |piece: &'a Piece| match piece {
            Piece::Frame(text) => Part::Frame(text),
            Piece::System(text) => Part::Text(text),
            Piece::Prompt => Part::Text(prompt),
        };
        self.parts.iter().map(part).collect()
    }
}

/// The texts in one turn.
fn joined(has_system: bool) -> String {
    if has_system { format!("{SYSTEM}\n\n{USER}") } else { USER.into() }
}

/// What the template makes of the placeholders. Some templates know no system's turn, and refuse
/// it or leave it out; its text then stands before the user's.
fn frame(source: &str, has_system: bool, named: Named<'_>) -> Result<String, String> {
    if has_system
        && let Ok(text) = render(source, Some(SYSTEM), USER, named)
        && text.contains(SYSTEM)
    {
        return Ok(text);
    }
    render(source, None, &joined(has_system), named).map_err(|error| error.to_string())
}

fn render(
    source: &str,
    system: Option<&str>,
    user: &str,
    named: Named<'_>,
) -> Result<String, Error> {
    if source.len() > MAX_BYTES {
        let message = format!("expected at most {MAX_BYTES} bytes, got {}", source.len());
        return Err(Error::new(ErrorKind::SyntaxError, message));
    }
    let mut environment = Environment::new();
    // As `transformers` sets up Jinja.
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| {
        Err::<String, Error>(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.set_fuel(Some(FUEL));
    let system = system.map(|content| context! { role => "system", content });
    let user = context! { role => "user", content => user };
    let values = context! {
        messages => system.into_iter().chain([user]).collect::<Vec<_>>(),
        add_generation_prompt => true,
        // A description needs no reasoning, and gets no tokens for it.
        enable_thinking => false,
        bos_token => named.bos,
        eos_token => named.eos,
    };
    let mut out = Bounded(Vec::new());
    environment.template_from_str(source)?.render_captured_to(values, &mut out)?;
    Ok(String::from_utf8_lossy(&out.0).into_owned())
}

/// Bytes up to a limit.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_BYTES {
            return Err(io::Error::other("the template writes without end"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(template: &Template, prompt: &str) -> String {
        let texts = template.parts(prompt).into_iter().map(|part| match part {
            Part::Frame(text) | Part::Text(text) => text,
        });
        texts.collect()
    }

    fn new(source: Option<&str>, system: Option<&str>) -> Result<Template, String> {
        Template::new(source, system, Named::default())
    }

    #[test]
    fn without_a_template_texts_stand_as_they_are() {
        assert_eq!(text(&new(None, None).unwrap(), "x"), "x");
        assert_eq!(text(&new(None, Some("s")).unwrap(), "x"), "s\n\nx");
    }

    #[test]
    fn a_template_without_a_systems_turn_gets_one() {
        let user =
            "{% for m in messages if m.role == 'user' %}[{{ m.content | trim }}]{% endfor %}";
        assert_eq!(text(&new(Some(user), Some("s")).unwrap(), "x"), "[s\n\nx]");
        let refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}\
                        {% endif %}<{{ messages[0].content }}>";
        assert_eq!(text(&new(Some(refusing), Some("s")).unwrap(), "x"), "<s\n\nx>");
    }

    #[test]
    fn bad_templates_are_errors() {
        for (source, expected) in [
            ("{% for %}", "syntax error"),
            ("nothing of it", "leaves the prompt out"),
            ("{{ raise_exception('not so') }}", "not so"),
            ("{% for a in range(90000) %}{{ a }}{% endfor %}", "ran out of fuel"),
            ("{{ 'ab' * 40000000 }}", "failed to write"),
            ("{{ unknown() }}", "unknown"),
        ] {
            let message = new(Some(source), None).unwrap_err();
            assert!(message.contains(expected), "{source}: {message}");
        }
    }
}
