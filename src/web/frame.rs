//! What every page has around it: the utility's name, who is signed in, where they can go.

/// The fields that `templates/base.html` needs; every page's view has one as `frame`.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// The utility's name.
    pub utility: String,
    /// The name of the signed-in person.
    pub name: Option<String>,
    /// Their hidden token, for forms.
    pub csrf: String,
    /// Navigation.
    pub links: Vec<NavLink>,
    /// One line about what was just done.
    pub notice: Option<String>,
}

/// An entry of the navigation.
#[derive(Debug, Clone)]
pub struct NavLink {
    /// Where it leads.
    pub href: &'static str,
    /// What it says.
    pub label: &'static str,
    /// Whether the page belongs to it.
    pub current: bool,
}

impl Frame {
    /// For somebody who is not signed in.
    #[must_use]
    pub fn signed_out(utility: &str) -> Self {
        Self { utility: utility.to_owned(), ..Self::default() }
    }
}
