//! What the documents link to is there, and what they say of it is so.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::{Path, PathBuf};

use end_to_end::root;

/// Where a document says `[text](target)`.
struct Link {
    document: PathBuf,
    text: String,
    target: String,
}

impl Link {
    /// The file that it leads to.
    fn file(&self) -> PathBuf {
        let target = self.target.split('#').next().unwrap_or_default();
        self.document.parent().unwrap().join(target)
    }
}

fn documents() -> Vec<PathBuf> {
    let folder = |folder: PathBuf| {
        let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|e| e == "md"))
    };
    folder(root()).chain(folder(root().join("docs"))).collect()
}

/// Links to files of ours.
fn links(document: &Path) -> Vec<Link> {
    let text = std::fs::read_to_string(document).unwrap();
    let ends: Vec<usize> = text.match_indices("](").map(|(at, _)| at).collect();
    let link = |&at: &usize| {
        let target = text[at + 2..].split(')').next().unwrap().to_owned();
        let before = text[..at].rsplit('[').next().unwrap().to_owned();
        Link { document: document.to_owned(), text: before, target }
    };
    let ours = |link: &Link| !link.target.contains("://") && !link.target.starts_with('#');
    ends.iter().map(link).filter(ours).collect()
}

#[test]
fn every_link_leads_to_a_file() {
    for link in documents().iter().flat_map(|document| links(document)) {
        let (document, target) = (link.document.display(), &link.target);
        assert!(link.file().exists(), "{document}: {target} isn't there");
    }
}

#[test]
fn every_linked_function_is_where_the_link_leads() {
    let mut found = 0;
    for link in documents().iter().flat_map(|document| links(document)) {
        let name = link.text.strip_prefix('`').and_then(|text| text.strip_suffix('`'));
        let in_code = link.file().extension().is_some_and(|ending| ending == "rs");
        let Some(name) = name.filter(|_| in_code) else { continue };
        let name = name.rsplit("::").next().unwrap();
        let source = std::fs::read_to_string(link.file()).unwrap();
        let defined = |line: &str| {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            let definition =
                |pair: &[&str]| ["fn", "struct", "enum"].contains(&pair[0]) && pair[1] == name;
            words.windows(2).any(definition)
        };
        let (document, file) = (link.document.display(), &link.target);
        assert!(source.lines().any(defined), "{document}: {file} has no {name}");
        found += 1;
    }
    assert!(found > 20, "only {found} links to functions");
}

#[test]
fn figures_behind_decisions_are_those_of_their_pages() {
    let document = root().join("docs/decisions.md");
    let links = links(&document);
    for paragraph in std::fs::read_to_string(&document).unwrap().split("\n\n") {
        let linked = links.iter().filter(|link| paragraph.contains(&format!("]({})", link.target)));
        let pages = linked.map(|link| std::fs::read_to_string(link.file()).unwrap());
        let pages = pages.collect::<String>();
        let words = paragraph.split(|c: char| !c.is_ascii_digit() && c != '.');
        for figure in words.map(|word| word.trim_matches('.')).filter(|word| word.contains('.')) {
            assert!(pages.contains(figure), "{figure} is on no page that is named: {paragraph}");
        }
    }
}

#[test]
fn every_page_is_in_the_book() {
    let docs = root().join("docs");
    let summary = links(&docs.join("SUMMARY.md"));
    for page in documents().iter().filter(|page| page.parent() == Some(&docs)) {
        let listed = summary.iter().any(|link| link.file() == *page);
        assert!(listed || page.ends_with("SUMMARY.md"), "{} isn't in SUMMARY.md", page.display());
    }
}
