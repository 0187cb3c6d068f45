//! The page, as a browser shows it. Needs `chromedriver`.

use das_core::EntityIds;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::common::Fixture;
use crate::http::Listening;

/// More items than fit on a page of the list.
const ITEMS: i64 = 120;

/// A browser and a service to look at; none, said aloud, where there is no browser.
fn shown() -> Option<(Browser, Listening)> {
    let Some(browser) = Browser::start() else {
        eprintln!("SKIPPED: no chromedriver");
        return None;
    };
    let service = Listening::start(|config| {
        let codes = (0..ITEMS as usize).map(|item| [item % 2, item / 2 % 4]).collect();
        let ids = EntityIds::Int((0..ITEMS).collect());
        Fixture { ids, codes, ..Fixture::default() }.publish(&config.live.folder);
    });
    Some((browser, service))
}

/// The first digit of the first item on a page of the list, and how many there are.
fn listed(browser: &Browser) -> (Vec<String>, usize) {
    let ids = browser.texts("section.result tbody td:first-child");
    let number = ids.len();
    (ids, number)
}

#[test]
fn an_item_is_found_and_what_shares_its_codes_is_browsed() {
    let Some((browser, service)) = shown() else { return };
    browser.open(&service.url("/"));
    let version = browser.text("#artifacts tbody code");
    let artifact: Value = serde_json::from_str(&service.get("/v1/artifact").1).unwrap();
    assert_eq!(artifact["live"]["version"], json!(version));

    // Item 11 is the sixth with these codes of every eight: suffix 1 after item 3.
    browser.enter("input[name=id]", "11");
    browser.submit();
    assert_eq!(browser.text("#codes"), "(1, 1, 1)");
    assert_eq!(
        browser.texts("section.result h3"),
        ["(1, 1, 1) — shared by 1", "(1, 1) — shared by 15", "(1) — shared by 60"]
    );
    browser.follow("(1)");
    let (first, number) = listed(&browser);
    assert_eq!((first[0].as_str(), number), ("1", 50));
    browser.follow("Next page");
    let (rest, number) = listed(&browser);
    assert_eq!(number, 10);
    assert!(rest.iter().all(|id| !first.contains(id)), "{rest:?}");
    browser.follow(&rest[0]);
    assert_eq!(browser.text("section.result h2"), format!("item {}", rest[0]));

    // The other side, by codes.
    browser.open(&service.url("/"));
    browser.click("select[name=side] option[value=user]");
    browser.enter("input[name=prefix]", "0, 3");
    browser.submit();
    assert_eq!(browser.text("section.result h2"), "(0, 3) — 15 users");
    assert!(browser.complaints().is_empty());
}

#[test]
fn figures_are_drawn_and_fit_a_phone() {
    let Some((browser, service)) = shown() else { return };
    service.post("/v1/lookup", &json!({"ids": [1, 2, 3]}));
    // Rates are of the seconds before.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    browser.open(&service.url("/"));
    let rates = browser.texts("#rates tbody tr");
    assert!(rates.iter().any(|row| row.starts_with("lookup") && row.ends_with('1')), "{rates:?}");
    // Two of four first codes are in use, and their bars alone have a height.
    let bars = "return [...document.querySelector('svg').querySelectorAll('rect')]
        .map(bar => bar.getBoundingClientRect().height > 0)";
    assert_eq!(browser.script(bars, &json!([])), json!([true, true, false, false]));
    browser.resize(360, 740);
    for path in ["/", "/?side=item&id=11", "/?side=item&prefix=1"] {
        browser.open(&service.url(path));
        let fits = "return document.documentElement.scrollWidth <= window.innerWidth";
        assert_eq!(browser.script(fits, &json!([])), json!(true), "{path}");
    }
    assert!(browser.complaints().is_empty());
}

#[test]
fn what_it_cannot_find_is_said_and_never_run() {
    let Some((browser, service)) = shown() else { return };
    browser.open(&service.url("/"));
    browser.enter("input[name=id]", "<img src=x onerror=document.title=1>");
    browser.submit();
    let said = browser.text("[role=alert]");
    assert!(said.contains("<img src=x onerror=document.title=1> is unknown"), "{said}");
    assert_eq!(browser.script("return document.title", &json!([])), json!("DAS: semantic IDs"));
    assert_eq!(browser.texts("img"), Vec::<String>::new());
    browser.open(&service.url("/?prefix=x"));
    assert!(browser.text("[role=alert]").contains("expected codes"));
    browser.follow("Back");
    assert_eq!(browser.text("h2"), "Artifacts");
}
