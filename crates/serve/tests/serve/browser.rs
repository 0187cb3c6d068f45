//! A browser without a screen, driven by the W3C WebDriver protocol.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The key of an element's reference, as the protocol fixes it.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Longer than a browser takes over anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Chromium with one page open.
pub(crate) struct Browser {
    driver: Child,
    session: String,
}

impl Browser {
    /// Starts `chromedriver` and its browser; none where it is not installed.
    pub(crate) fn start() -> Option<Browser> {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().ok()?;
        let port = BufReader::new(driver.stdout.take()?).lines().map_while(Result::ok).find_map(
            |line| {
                Some(
                    line.split_once("started successfully on port ")?
                        .1
                        .trim_end_matches('.')
                        .to_string(),
                )
            },
        )?;
        let options = json!({"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]});
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let mut browser = Browser { driver, session: format!("http://127.0.0.1:{port}/session") };
        let made = browser.post("", &json!({"capabilities": {"alwaysMatch": wanted}}));
        browser.session += &format!("/{}", made["sessionId"].as_str().unwrap());
        Some(browser)
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    /// What is seen of the first element that `selector` names.
    pub(crate) fn text(&self, selector: &str) -> String {
        let text = self.get(&format!("/element/{}/text", self.element(selector)));
        text.as_str().unwrap().to_string()
    }

    /// What is seen of every such element.
    pub(crate) fn texts(&self, selector: &str) -> Vec<String> {
        let script = "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)";
        let found = self.script(script, &json!([selector]));
        found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_string()).collect()
    }

    /// Clicks on it, as a person would.
    pub(crate) fn click(&self, selector: &str) {
        self.click_on(&self.element(selector));
    }

    /// Clicks on the button that sends a form, and waits for what it leads to.
    pub(crate) fn submit(&self) {
        self.leave_by(&self.element("button[type=submit]"));
    }

    /// Clicks on the link with this text, and waits for what it leads to.
    pub(crate) fn follow(&self, text: &str) {
        let found = self.post("/element", &json!({"using": "link text", "value": text}));
        self.leave_by(found[ELEMENT].as_str().unwrap());
    }

    /// Types into it.
    pub(crate) fn enter(&self, selector: &str, text: &str) {
        self.post(&format!("/element/{}/value", self.element(selector)), &json!({"text": text}));
    }

    /// Makes the window this wide and high.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        self.post("/window/rect", &json!({"width": width, "height": height}));
    }

    /// What a script returns.
    pub(crate) fn script(&self, script: &str, arguments: &Value) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": arguments}))
    }

    /// What the browser complained of since it was asked last.
    pub(crate) fn complaints(&self) -> Vec<Value> {
        let log = self.post("/se/log", &json!({"type": "browser"}));
        log.as_array().unwrap().clone()
    }

    fn click_on(&self, element: &str) {
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Clicks on what leads to another page. On a busy machine the click is over before the page is left.
    fn leave_by(&self, element: &str) {
        self.script("window.isOld = true", &json!([]));
        self.click_on(element);
        let patience = Instant::now() + PATIENCE;
        let arrived = "return !window.isOld && document.readyState === 'complete'";
        // A script may be cut off by the change of pages.
        let script = json!({"script": arrived, "args": []});
        while self.try_post("/execute/sync", &script) != Ok(json!(true)) {
            assert!(Instant::now() < patience, "the page stays");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post("/element", &json!({"using": "css selector", "value": selector}));
        found[ELEMENT].as_str().unwrap().to_string()
    }

    fn get(&self, path: &str) -> Value {
        let answer = agent().get(format!("{}{path}", self.session)).call().unwrap();
        value(answer).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.try_post(path, body).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn try_post(&self, path: &str, body: &Value) -> Result<Value, Value> {
        let request = agent().post(format!("{}{path}", self.session));
        value(request.send(body.to_string()).unwrap())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = agent().delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn agent() -> ureq::Agent {
    let timeout = Some(PATIENCE);
    ureq::Agent::config_builder().timeout_global(timeout).http_status_as_error(false).build().into()
}

/// What the driver answers, or what it complains of.
fn value(mut answer: ureq::http::Response<ureq::Body>) -> Result<Value, Value> {
    let body = answer.body_mut().read_to_vec().unwrap();
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    let value = body["value"].take();
    if answer.status().is_success() { Ok(value) } else { Err(value) }
}
