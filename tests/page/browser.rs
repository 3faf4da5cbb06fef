//! Headless Chromium, driven by WebDriver.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use url::{Origin, ParseError, Url};

use crate::agent_support::{holds, wait_for, wait_or};

/// Where chromedriver listens, in the namespace of the calling thread.
const DRIVER: u16 = 9515;

/// A browser with one page. It ends when it is dropped.
pub struct Browser {
    client: Client,
    runtime: Runtime,
    driver: RefCell<Child>,
    /// The browser's files.
    _folder: TempDir,
}

impl Browser {
    /// A browser in the namespace of the calling thread, whose window shows this much in pixels.
    pub fn start(width: u32, height: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("driver.log");
        let driver = Command::new("chromedriver")
            .arg(format!("--port={DRIVER}"))
            // Of what the browser writes, all goes with the folder.
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::null())
            .stdout(File::create(&log).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver, of the Debian package chromium-driver, starts");
        wait_for("chromedriver listens", || {
            TcpStream::connect(("127.0.0.1", DRIVER)).map(drop).map_err(|error| error.to_string())
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let profile = folder.path().join("profile");
        let arguments = [
            "--headless=new".to_owned(),
            // Root cannot have it, and the namespace keeps the page from everybody.
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--user-data-dir={}", profile.display()),
            format!("--window-size={width},{height}"),
        ];
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { panic!("an object") };
        let address = format!("http://127.0.0.1:{DRIVER}");
        let connected = runtime
            .block_on(ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&address));
        let client = connected.unwrap_or_else(|error| {
            panic!("no Chromium: {error}\n{}", fs::read_to_string(&log).unwrap_or_default())
        });
        Self { client, runtime, driver: RefCell::new(driver), _folder: folder }
    }

    /// Opens an address.
    pub fn open(&self, address: &str) {
        self.wait(self.client.goto(address));
    }

    /// What a function's body returns in the page.
    pub fn run(&self, body: &str) -> Value {
        self.wait(self.client.execute(body, Vec::new()))
    }

    /// The text that a function's body returns in the page.
    pub fn text(&self, body: &str) -> String {
        let value = self.run(body);
        value.as_str().unwrap_or_else(|| panic!("{body}: {value}")).to_owned()
    }

    /// Clicks on what a CSS selector finds first, as a mouse does.
    pub fn click(&self, selector: &str) {
        self.wait(self.find(selector).click());
    }

    /// Types into what a CSS selector finds first.
    pub fn type_into(&self, selector: &str, text: &str) {
        self.wait(self.find(selector).send_keys(text));
    }

    /// Empties a field, by keys that mark its text and remove it.
    pub fn clear(&self, selector: &str) {
        self.type_into(selector, &(Key::Control + "a"));
        self.type_into(selector, &Key::Backspace);
    }

    fn find(&self, selector: &str) -> Element {
        self.wait(self.client.find(Locator::Css(selector)))
    }

    /// Waits until a function's body returns something for which `look` finds nothing missing.
    #[track_caller]
    pub fn until(&self, what: &str, body: &str, mut look: impl FnMut(&Value) -> Result<(), String>) {
        wait_or(
            what,
            || look(&self.run(body)),
            || format!("{}\n{:?}", self.text("return document.body.innerText"), self.complaints()),
        );
    }

    /// Waits until an expression is true in the page.
    #[track_caller]
    pub fn until_true(&self, expression: &str) {
        self.until(expression, &format!("return {expression}"), |value| {
            holds(*value == json!(true), value.to_string())
        });
    }

    /// Prefers light or dark colours.
    pub fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let parameters = json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } });
        self.command("goog/cdp/execute", parameters);
    }

    /// The window as a PNG.
    pub fn picture(&self) -> Vec<u8> {
        self.wait(self.client.screenshot())
    }

    /// Where requests went to since this was asked last: the origins of their addresses.
    pub fn origins(&self) -> BTreeSet<String> {
        let events = self.log("performance");
        let requests = events.iter().filter_map(|entry| {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &event["message"];
            let is_request = message["method"] == "Network.requestWillBeSent"
                || message["method"] == "Network.webSocketCreated";
            let url = message["params"]["request"]["url"].as_str().or(message["params"]["url"].as_str())?;
            is_request.then(|| Url::parse(url).unwrap().origin())
        });
        // Addresses without a host are of the browser's own pages.
        requests.filter(Origin::is_tuple).map(|origin| origin.ascii_serialization()).collect()
    }

    /// What the console was told since this was asked last: errors of scripts, of loading, and of the security policy.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.log("browser");
        let told = entries.iter().map(|entry| entry["message"].as_str().unwrap().to_owned());
        // The browser begins with a page of its own.
        told.filter(|message| !message.starts_with("chrome://")).collect()
    }

    fn log(&self, kind: &'static str) -> Vec<Value> {
        let entries = self.command("se/log", json!({ "type": kind }));
        entries.as_array().cloned().unwrap()
    }

    fn command(&self, path: &'static str, parameters: Value) -> Value {
        self.wait(self.client.issue_cmd(OfChromium { path, parameters }))
    }

    #[track_caller]
    fn wait<T>(&self, command: impl Future<Output = Result<T, CmdError>>) -> T {
        self.runtime.block_on(command).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends the browser, too, but for one that hangs.
        drop(self.runtime.block_on(self.client.clone().close()));
        let driver = self.driver.get_mut();
        drop(driver.kill());
        drop(driver.wait());
    }
}

/// A command that chromedriver has beyond the standard.
#[derive(Debug)]
struct OfChromium {
    path: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for OfChromium {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.parameters.to_string()))
    }
}
