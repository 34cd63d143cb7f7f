//! What a person does in front of a [`Browser`]: signs in.

use super::{Browser, Initiator, Visit};

impl Browser {
    /// Opens a login address, and fills in the provider's form, if it shows one, as `alice`.
    pub fn log_in(&mut self, address: &str) -> Visit {
        let visit = self.navigate(address, Initiator::SameOrigin);
        if !visit.response.text().contains("type=\"password\"") {
            return visit;
        }
        self.fill_in(&visit, "alice", "wonderland")
    }

    /// Fills in the provider's login form.
    pub fn fill_in(&mut self, page: &Visit, user: &str, password: &str) -> Visit {
        let html = page.response.text();
        let action = attribute(&html, "<form", "action").unwrap_or_default();
        let target = page.url.join(&unescape(&action)).expect("an action");
        let mut fields: Vec<(String, String)> = html
            .split("<input")
            .skip(1)
            .filter(|input| input.contains("type=\"hidden\""))
            .filter_map(|input| {
                let input = format!("<input{input}");
                let name = attribute(&input, "<input", "name")?;
                let value = attribute(&input, "<input", "value").unwrap_or_default();
                Some((name, unescape(&value)))
            })
            .collect();
        fields.push(("username".to_owned(), user.to_owned()));
        fields.push(("password".to_owned(), password.to_owned()));
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.submit(&target, &fields, Initiator::SameOrigin)
    }
}

/// The value of an attribute in the first tag that begins with `tag`.
fn attribute(html: &str, tag: &str, name: &str) -> Option<String> {
    let tag = html.split(tag).nth(1)?.split('>').next()?;
    let value = tag.split(&format!("{name}=\"")).nth(1)?;
    Some(value.split('"').next()?.to_owned())
}

fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&amp;", "&")
}
