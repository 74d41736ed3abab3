"""The page at `/`, in a real Chromium: what is typed, shown and refused, from the keyboard, on a phone, in the dark."""

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from keras_s2s.runtime import Generator
from keras_s2s.search_options import OPTIONS

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
HOSTILE = "<img src=x onerror=alert(1)>"
# Answers requests in the server's place with what `answers` has for the path, and keeps what was asked; a list is a
# stream of events, which comes a few bytes at a time.
FAKE = """
    const answers = ARGUMENT, real = window.fetch;
    window.fetch = async (path, options) => {
      if (!(path in answers)) return real(path, options);
      window.asked = options.body && JSON.parse(options.body);
      window.signal = options.signal;
      const {status = 200, headers = {}, body} = answers[path];
      const event = ([kind, data]) => `event: ${kind}\\ndata: ${JSON.stringify(data)}\\n\\n`;
      const bytes = new TextEncoder().encode(Array.isArray(body) ? body.map(event).join("") : JSON.stringify(body));
      const stream = new ReadableStream({start(to) {
        for (let at = 0; at < bytes.length; at += 3) to.enqueue(bytes.slice(at, at + 3));
        to.close();
      }});
      return new Response(stream, {status, headers});
    };
"""
# Each text that can be seen, with the contrast of its colour and what is behind it.
CONTRASTS = """
    const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1});
    const context = canvas.getContext("2d", {willReadFrequently: true});
    function rgba(color) {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = color;
      context.fillRect(0, 0, 1, 1);
      return [...context.getImageData(0, 0, 1, 1).data];
    }
    function luminance(color) {
      const [r, g, b] = rgba(color).map((part) => part / 255)
        .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    }
    function ground(node) {
      const color = getComputedStyle(node).backgroundColor;
      return rgba(color)[3] === 255 ? color : ground(node.parentElement);
    }
    const nodes = [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility() &&
      (/^(INPUT|SELECT|TEXTAREA)$/.test(node.tagName) ||
       [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim())));
    return nodes.map((node) => {
      const [low, high] = [getComputedStyle(node).color, ground(node)].map(luminance).sort((a, b) => a - b);
      return [node.tagName + "." + node.className + " " + node.textContent.slice(0, 20), (high + 0.05) / (low + 0.05)];
    });
"""


class Page:
    """The page in a browser.

    Attributes:
        driver: of the browser.
    """

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self._scripts: list[str] = []

    def __getitem__(self, name: str) -> WebElement:
        return self.driver.find_element(By.ID, name)

    def open(self, url: str, model: str | None = "stepwise") -> None:
        """Loads it, and waits for the card of a model."""
        self.driver.get(url)
        if model is not None:
            self.wait(lambda: self["about"].is_displayed() and model in self["about-title"].text)

    def wait(self, condition: Callable[[], Any]) -> None:
        WebDriverWait(self.driver, 30, poll_frequency=0.05).until(lambda _: condition())

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """What elements hold, whether or not it can be seen."""
        return self.run("return [...document.querySelectorAll(arguments[0])].map((n) => n.textContent)", selector)

    def type(self, text: str) -> None:
        """Puts a text in the place of the last one."""
        self["text"].clear()
        self["text"].send_keys(text)

    def fields(self) -> dict[str, str]:
        """What the form holds of options, by name."""
        return {field.get_attribute("name"): field.get_attribute("value") for field in self.all("#form [name]")}

    def set(self, **options: object) -> None:
        """Types numbers and texts into fields; those of `#further` are unfolded."""
        self.run("document.querySelector('#further').open = true")
        for name, value in options.items():
            (field,) = self.all(f"#form [name={name}]")
            field.clear()
            field.send_keys(str(value))

    def answer(self, text: str) -> str:
        """Types a text, clicks, waits, and gives what is shown."""
        self.type(text)
        self["generate"].click()
        self.done()
        return self["output"].text

    def done(self) -> None:
        self.wait(lambda: self["status"].text.startswith("Done in"))

    def problem(self, name: str = "problem") -> str:
        self.wait(lambda: self[name].text)
        return self[name].text

    def press(self, *keys: str, holding: str = "") -> None:
        """Presses keys, wherever the focus is."""
        actions = webdriver.ActionChains(self.driver)
        if holding:
            actions.key_down(holding)
        actions.send_keys(*keys)
        if holding:
            actions.key_up(holding)
        actions.perform()

    def tabs(self, times: int, back: bool = False) -> list[str]:
        """Goes on from field to field, or back, and tells at which ones it was."""
        fields = []
        for _ in range(times):
            self.press(Keys.TAB, holding=Keys.SHIFT if back else "")
            at = "const at = document.activeElement; return at.id || at.name || at.localName"
            fields.append(self.run(at))
        return fields

    def fake(self, **answers: Any) -> None:
        """Lets the loaded page have these answers; `_` stands for `/` in paths."""
        self.run(_faking(answers))

    def fake_from_the_start(self, **answers: Any) -> None:
        """The same for pages that are loaded from now on."""
        added = self.emulate("Page.addScriptToEvaluateOnNewDocument", source=_faking(answers))
        self._scripts.append(added["identifier"])

    def emulate(self, command: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, parameters)

    def media(self, **features: str) -> None:
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.emulate("Emulation.setEmulatedMedia", features=named)

    def width(self, pixels: int) -> None:
        size = {"width": pixels, "height": 700, "deviceScaleFactor": 1, "mobile": True}
        self.emulate("Emulation.setDeviceMetricsOverride", **size)

    def console(self) -> list[str]:
        """What the browser complained of since this was asked last: errors, refused loads, the policy."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def reset(self) -> None:
        """Leaves nothing to the next test."""
        self.emulate("Emulation.clearDeviceMetricsOverride")
        self.media()
        for script in self._scripts:
            self.emulate("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
        self._scripts = []
        self.run("try { sessionStorage.clear() } catch {}")
        self.driver.get("about:blank")


def _faking(answers: dict[str, Any]) -> str:
    return FAKE.replace("ARGUMENT", json.dumps({path.replace("_", "/"): answer for path, answer in answers.items()}))


def of_result(text: str, **more: Any) -> dict[str, Any]:
    """A result of one hypothesis, as an event has it."""
    return {"index": 0, "hypotheses": [{"text": text, "score": -0.5, **more}]}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A browser that reaches this machine only."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.fail("the page needs Chromium and its driver: apt-get install chromium chromium-driver", pytrace=False)
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SE_OFFLINE", "true")
        patch.setenv("NO_PROXY", ",".join(filter(None, [os.environ.get("NO_PROXY"), "localhost,127.0.0.1"])))
        started = webdriver.Chrome(options, Service(driver))
        try:
            yield started
        finally:
            started.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> Iterator[Page]:
    """A page that is not loaded yet. What it complains of fails the test; a refusal of the server is no complaint."""
    page = Page(chromium)
    page.console()
    yield page
    complaints = page.console()
    page.reset()
    assert [line for line in complaints if "Failed to load resource" not in line] == []


@pytest.fixture
def page(browser: Page, server: Any) -> Page:
    """The page of `server`, loaded."""
    browser.open(server.url)
    return browser


def test_an_answer_appears_while_it_is_written(page: Page, server: Any, generator: Generator) -> None:
    options = {"min_length": 150, "max_length_extra": 200}
    page.set(**options)
    page.run(
        "window.seen = [];"
        "const output = document.getElementById('output');"
        "const see = () => seen.push([output.ariaBusy, output.textContent]);"
        "new MutationObserver(see).observe(output, {childList: true, subtree: true, attributes: true});"
    )
    expected = generator(["hello 12"], **options)[0][0].text
    assert page.answer("hello 12") == expected
    seen = [text for busy, text in page.run("return seen") if busy == "true" and text]
    assert len(dict.fromkeys(seen)) > 5
    assert len(seen[0]) < len(expected) / 2
    assert page["output"].get_attribute("aria-busy") == "false"
    assert not page["cancel"].is_displayed()
    loaded = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert len(loaded) >= 5
    assert all(name.startswith(server.url) for name in loaded)
    assert page.console() == []


def test_the_n_best_with_their_scores(page: Page, generator: Generator) -> None:
    page.set(beam_size=5, n_best=4)
    expected = generator(["hello 12"], beam_size=5, n_best=4)[0]
    assert page.answer("hello 12") == expected[0].text
    assert page.texts("#hypotheses bdi") == [one.text for one in expected]
    scores = [float(score.replace("−", "-")) for score in page.texts("#hypotheses .score")]
    assert scores == pytest.approx([one.score for one in expected], abs=1e-2)
    assert scores == sorted(scores, reverse=True)


def test_defaults_stand_in_the_form_and_other_strategies_have_their_options(page: Page, generator: Generator) -> None:
    fields = page.fields()
    assert (fields["beam_size"], fields["n_best"], fields["max_length_factor"]) == ("4", "1", "1.5")
    assert "min_length" in fields  # The bundle has "beam-constrained", and neither coverage nor a CTC head.
    assert not {"temperature", "coverage_penalty", "ctc_weight", "diversity"} & set(fields)
    strategy = Select(page["strategy"])
    assert [option.text for option in strategy.options] == ["greedy", "beam", "sample"]
    strategy.select_by_value("greedy")
    assert not page.all("[name=beam_size], [name=n_best], [name=min_length]")
    assert page.answer("hello 12") == generator(["hello 12"], strategy="greedy")[0][0].text
    strategy.select_by_value("sample")
    page.set(n_best=3, seed=7, temperature=0.8)
    page.answer("hello 12")
    expected = generator(["hello 12"], strategy="sample", n_best=3, seed=7, temperature=0.8)[0]
    assert page.texts("#hypotheses bdi") == [one.text for one in expected]


def test_the_form_takes_the_values_that_the_server_takes(page: Page) -> None:
    Select(page["strategy"]).select_by_value("sample")
    valid = "return document.querySelector(`#form [name=${arguments[0]}]`).checkValidity()"
    for name in page.fields().keys() & OPTIONS.keys():
        one = OPTIONS[name]
        step = 1 if one.kind is int else 0.5
        refused = [
            *(one.bounds[key] - step for key in ("minimum",) if key in one.bounds),
            *(one.bounds[key] + step for key in ("maximum",) if key in one.bounds),
            *(one.bounds[key] for key in ("exclusive_minimum", "exclusive_maximum") if key in one.bounds),
        ]
        for value in refused:
            page.set(**{name: value})
            assert not page.run(valid, name), (name, value)
        if refused:
            page.set(**{name: one.default if name != "beam_size" else 4})
            assert page.run(valid, name), name
    page.set(top_p=0)
    page.type("hello 12")
    page["generate"].click()
    assert page["output"].text == ""


def test_what_is_forced_and_forbidden(page: Page, generator: Generator) -> None:
    page.set(prefix="xy", suppress="a\nss")
    (allowed,) = page.all("[name=allow_unknown]")
    allowed.click()
    expected = generator(["hello"], prefix=["xy"], suppress=["a", "ss"], allow_unknown=False)[0][0].text
    assert page.answer("hello") == expected
    assert expected.startswith("xy")
    page.set(length_penalty=0.5, max_length_extra=10)
    page.fake(v1_generate={"body": [["result", of_result("x")], ["end", {}]]})
    page.answer("hello")
    always = {"model": "stepwise", "text": "hello", "stream": True, "alignment": True, "beam_size": 4, "n_best": 1}
    changed = {"prefix": "xy", "suppress": ["a", "ss"], "allow_unknown": False, "length_penalty": 0.5}
    assert page.run("return asked") == always | changed


def test_another_strategy_has_other_defaults(browser: Page, server: Any) -> None:
    graphs = dict.fromkeys(["greedy", "beam", "diverse-coverage", "sample", "score", "ctc_beam"], "")
    entries = [
        CARD | {"name": "searching", "graphs": graphs, "decoding": DECODING | {"strategy": "beam", "n_best": 3}},
        CARD | {"name": "simple", "graphs": graphs, "decoding": DECODING | {"strategy": "greedy", "beam_size": 1}},
    ]
    for entry in entries:
        entry["options"] = options_of(entry["decoding"])
    browser.fake_from_the_start(v1_models={"body": {"models": entries}}, v1_models_searching={"body": entries[0]})
    browser.open(server.url, "searching")
    assert browser.fields() == {"beam_size": "5", "n_best": "3"}
    for strategy, expected in (
        ("greedy", {}),
        ("sample", {"n_best": "1", "temperature": "0.9"}),
        ("diverse", {"beam_size": "5", "n_best": "1", "coverage_penalty": "0.2"}),
        ("ctc_beam", {"beam_size": "5", "n_best": "1"}),
        ("beam", {"beam_size": "5", "n_best": "3"}),
    ):
        Select(browser["strategy"]).select_by_value(strategy)
        assert browser.fields() == expected
    browser.run("document.getElementById('strategy').focus()")
    browser.press(Keys.ARROW_UP)
    assert browser["strategy"].get_attribute("value") == "greedy"
    assert browser.run("return document.activeElement.id") == "strategy"
    browser.fake(v1_models_simple={"body": entries[1]})
    Select(browser["model"]).select_by_value("simple")
    assert browser.fields() == {}
    Select(browser["strategy"]).select_by_value("beam")
    assert browser.fields() == {"beam_size": "4", "n_best": "1"}


def test_several_lines_are_one_text(page: Page, generator: Generator) -> None:
    assert page.answer("hello\n12") == generator(["hello 12"])[0][0].text
    assert page.texts("#picture thead th") == generator.source_pieces("hello 12")
    page.fake(v1_generate={"body": [["result", of_result("x")], ["end", {}]]})
    page.answer("hello\n\n12")
    assert page.run("return asked.text") == "hello 12"


def test_the_keyboard_is_enough(page: Page, generator: Generator) -> None:
    assert page.tabs(4) == ["text", "strategy", "beam_size", "n_best"]
    page.press("3")
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.tabs(2) == ["summary", "generate"]
    assert page.tabs(5, back=True)[-1] == "text"
    page.press("hello 12")
    page.press(Keys.ENTER, holding=Keys.CONTROL)
    page.done()
    assert page["text"].get_attribute("value") == "hello 12"
    assert len(page.all("#hypotheses li")) == 3
    assert page.tabs(6)[-1] == "hypothesis"
    page.press(Keys.ARROW_DOWN)
    second = generator(["hello 12"], n_best=3)[0][1]
    assert page.texts("#picture tbody th") == generator.written_pieces(second.tokens)
    assert page.tabs(2) == ["picture", "summary"]
    page.press(Keys.ENTER)
    assert page.run("return document.activeElement.parentElement.open") is False
    assert page.tabs(3) == ["summary"] * 3
    assert page.tabs(11, back=True)[-1] == "text"
    page.press(Keys.END, holding=Keys.CONTROL)
    page.press(Keys.BACKSPACE, Keys.ENTER, "3")
    page.tabs(1)
    page.press(Keys.ENTER, holding=Keys.META)
    page.wait(lambda: page["output"].text == generator(["hello 1 3"])[0][0].text)


def test_escape_cancels_and_the_server_drops_the_text(page: Page, server: Any) -> None:
    finished = server.metric("texts_total")
    page.set(beam_size=8, min_length=500, max_length_extra=600)
    page.type("hello 12")
    for stop in (lambda: page["text"].send_keys(Keys.ESCAPE), lambda: page["cancel"].click()):
        page["text"].send_keys(Keys.CONTROL, Keys.ENTER)
        page.wait(lambda: len(page["output"].text) > 5)
        assert page["output"].get_attribute("aria-busy") == "true"
        assert page["cancel"].is_displayed()
        assert server.metric("running") == 1
        stop()
        assert page["status"].text == "Cancelled."
        assert page["output"].get_attribute("aria-busy") == "false"
        assert not page["cancel"].is_displayed()
        page.wait(lambda: server.metric("running") == 0)
        assert page["problem"].text == ""
        assert page.run("return document.activeElement.id") == "text"
    assert server.metric("texts_total") == finished


def test_a_new_request_takes_the_place_of_one_on_its_way(page: Page, server: Any, generator: Generator) -> None:
    page.set(min_length=500, max_length_extra=600)
    page.type("hello 12")
    page["generate"].click()
    page.wait(lambda: page["output"].text)
    page.set(min_length=0, max_length_extra=10)
    assert page.answer("abc") == generator(["abc"])[0][0].text
    page.wait(lambda: server.metric("running") == 0)


def test_the_attention_of_the_chosen_hypothesis(page: Page, generator: Generator) -> None:
    page.set(n_best=3)
    page.answer("hello 12")
    hypotheses = generator(["hello 12"], n_best=3, alignment=True)[0]
    assert len({one.text for one in hypotheses}) == 3
    for label, one in zip(page.all("#hypotheses label"), hypotheses, strict=True):
        label.click()
        assert page.texts("#picture thead th") == generator.source_pieces("hello 12")
        assert page.texts("#picture tbody th") == generator.written_pieces(one.tokens)
        assert one.alignment is not None
        cells = [int(cell or 0) for cell in page.texts("#picture tbody td")]
        assert cells == pytest.approx(100 * one.alignment.ravel(), abs=1.01)
    assert {head.get_attribute("scope") for head in page.all("#picture thead th")} == {"col"}
    assert {head.get_attribute("scope") for head in page.all("#picture tbody th")} == {"row"}
    grounds = page.run(
        "const cells = [...document.querySelectorAll('#picture tbody td')];"
        "return cells.map((cell) => getComputedStyle(cell).backgroundColor)"
    )
    assert len(set(grounds)) > 10


def test_a_model_without_alignment_and_a_choice_among_models(
    browser: Page, serving: Any, stepwise_bundle: Path, echo_bundle: Path
) -> None:
    with serving(echo_bundle, stepwise_bundle, "--precision", "fp32") as server:
        browser.open(server.url, "echo")
        assert not browser["only"].is_displayed()
        model = Select(browser["model"])
        assert [option.text for option in model.options] == ["echo", "stepwise"]
        assert browser.answer("hello 12") == "hello 12"
        assert not browser["attention"].is_displayed()
        model.select_by_value("stepwise")
        browser.wait(lambda: "stepwise" in browser["about-title"].text)
        assert browser["output"].text == "Nothing yet." or not browser["output"].text
        assert not browser["found"].is_displayed()
        expected = Generator.load(stepwise_bundle, "fp32", threads=1)(["hello 12"])[0][0].text
        assert browser.answer("hello 12") == expected
        assert browser["attention"].is_displayed()


def test_the_card(page: Page) -> None:
    assert "stepwise" in page["about-title"].text
    page.run("for (const part of document.querySelectorAll('#card details')) part.open = true")
    shown = dict(zip(page.texts("#card dt"), page.texts("#card dd"), strict=True))
    facts = {"Task": "noise", "Created": "31 January 2026", "Precision": "int8"}
    search = {"strategy": "beam", "beam size": "4", "max length factor": "1.5", "exhaustive": "no", "suppress": "none"}
    rest = {"max source tokens": "40", "keras_s2s": "0.1.0", "beam": "as it is written", "bleu": "1"}
    assert (facts | search | rest).items() <= shown.items()
    assert "{" not in page["card"].text
    assert "up to 40 tokens" in page["text-hint"].text


def options_of(decoding: dict[str, Any]) -> list[dict[str, Any]]:
    """Options of a form, with the defaults of a decoding."""
    users = {
        "beam_size": ["beam", "diverse", "ctc_beam"],
        "n_best": ["beam", "diverse", "sample", "ctc_beam"],
        "temperature": ["sample"],
        "coverage_penalty": ["diverse"],
    }
    about = {"label": HOSTILE, "help": HOSTILE, "type": "float", "own": False}
    first = ("beam_size", "n_best")
    return [
        {"name": name, "default": decoding[name], "strategies": some, "stands_first": name in first, **about}
        for name, some in users.items()
    ]


DECODING = {"strategy": "greedy", "beam_size": 5, "n_best": 1, "temperature": 0.9, "coverage_penalty": 0.2}
CARD = {
    "name": "nested",
    "task": "text",
    "created": "once",
    "precision": "int8",
    "graphs": {"greedy": "as it is written"},
    "decoding": DECODING,
    "limits": {"max_source_tokens": 1234},
    "options": [],
    "metrics": {"split": "dev", "Keras": {"bleu": 40.8123}, "ONNX int8": {"bleu": 40.79, "chrf": None}},
    "parts": [{"name": "encoder", "parameters": 1500}, {"name": "decoder", "parameters": 1000000, "kind": "lstm"}],
    "model": {"front": None, "encoder": {str(key): key for key in range(8)}, "decoder": {"0": True}},
    "verification": {"largest": 1.23456e-7, "deep": {"a": {"b": [[1, 2.5], ["c", {"d": []}]]}}},
    "versions": {"onnxruntime-gpu": "1.31.1"},
    "of tomorrow": 123456.789,
}


def test_an_example_is_written_into_the_field_and_asked(browser: Page, server: Any) -> None:
    examples = ["hello 12", HOSTILE, "שלום"]
    one = CARD | {"examples": examples}
    plain = CARD | {"name": "plain"}
    browser.fake_from_the_start(
        v1_models={"body": {"models": [one, plain]}}, v1_models_nested={"body": one}, v1_models_plain={"body": plain}
    )
    browser.open(server.url, "nested")
    assert browser.texts("#examples button") == examples
    assert "hello 12" not in browser["card"].text
    for number, example in enumerate(examples):
        browser.fake(v1_generate={"body": [["result", of_result(example.upper())], ["end", {}]]})
        browser.all("#examples button")[number].click()
        browser.done()
        assert browser.run("return asked.text") == example
        assert browser["text"].get_attribute("value") == example
        assert browser["output"].text == example.upper()
    Select(browser["model"]).select_by_value("plain")
    browser.wait(lambda: "plain" in browser["about-title"].text)
    assert not browser["examples"].is_displayed()


def test_a_card_of_any_shape(browser: Page, server: Any) -> None:
    browser.fake_from_the_start(v1_models={"body": {"models": [CARD]}}, v1_models_nested={"body": CARD})
    browser.open(server.url, "nested")
    rows = lambda heading: browser.run(  # noqa: E731
        "const part = [...document.querySelectorAll('#card details')].find((one) => one.firstChild.textContent === "
        "arguments[0]); part.open = true;"
        "return [...part.querySelectorAll('tr')].map((row) => [...row.cells].map((cell) => cell.textContent))",
        heading,
    )
    assert rows("Metrics") == [["", "bleu", "chrf"], ["Keras", "40.81", "–"], ["ONNX int8", "40.79", "–"]]
    assert rows("Parts") == [
        ["name", "parameters", "kind"],
        ["encoder", "1,500", "–"],
        ["decoder", "1,000,000", "lstm"],
    ]
    assert rows("Configuration")[:2] == [["", "encoder", "decoder"], ["0", "0", "yes"]]
    browser.run("for (const part of document.querySelectorAll('#card details')) part.open = true")
    shown = browser["card"].text
    assert all(part in shown for part in ("once", "1,001,500", "1.2e-7", "1, 2.5", "none", "1.31.1", "123,457"))
    assert not any(wrong in shown for wrong in ("[object", "{", "undefined", "null", "NaN"))
    boxes = browser.all("#card .scroll")
    assert [box.accessible_name for box in boxes] == ["Metrics", "Parts", "Configuration"]
    reached = "return [...document.querySelectorAll('#card .scroll')].map((box) => box.tabIndex)"
    assert browser.run(reached) == [-1, -1, -1]
    browser.width(200)
    browser.wait(lambda: browser.run(reached) == [0, 0, 0])


def test_nothing_is_taken_for_html(browser: Page, server: Any) -> None:
    entry = CARD | {"name": HOSTILE, "graphs": {"greedy": HOSTILE, HOSTILE: HOSTILE, "align": ""}, "task": HOSTILE}
    entry |= {"options": [one | {"strategies": ["greedy"]} for one in options_of(DECODING)]}
    card = entry | {"metrics": {HOSTILE: {HOSTILE: HOSTILE}}, HOSTILE: [HOSTILE, [{HOSTILE: HOSTILE}]]}
    alignment = {"source": [HOSTILE], "target": [HOSTILE], "weights": [[1]]}
    path = browser.run("return 'v1/models/' + encodeURIComponent(arguments[0])", HOSTILE)
    broken = {"body": [["written", {"index": 0, "text": HOSTILE}]]}
    answers: dict[str, Any] = {path: {"body": card}, "v1_generate": broken}
    browser.fake_from_the_start(v1_models={"body": {"models": [entry]}}, **answers)
    browser.open(server.url, HOSTILE)
    assert browser["only"].text == HOSTILE
    browser.type(HOSTILE)
    browser["generate"].click()
    assert browser.problem()
    assert browser["output"].text == HOSTILE
    browser.fake(v1_generate={"body": [["result", of_result(HOSTILE, alignment=alignment)], ["end", {}]]})
    assert browser.answer(HOSTILE) == HOSTILE
    assert browser.texts("#hypotheses bdi, #picture th") == [HOSTILE] * 3
    browser.fake(v1_generate={"status": 422, "body": {"error": HOSTILE}})
    browser["generate"].click()
    browser.wait(lambda: browser["problem"].text == HOSTILE)
    browser.run("for (const part of document.querySelectorAll('#card details')) part.open = true")
    assert browser["card"].text.count(HOSTILE) > 8
    assert browser.run("return document.querySelectorAll('img, body script, [onerror]').length") == 0


def test_texts_of_any_direction_emoji_and_long_words(page: Page) -> None:
    for text, direction in (("שלום 12", "rtl"), ("مرحبا", "rtl"), ("👩‍🚀 hello", "ltr"), ("漢字" * 200, "ltr")):
        page.fake(v1_generate={"body": [["result", of_result(text)], ["end", {}]]})
        page.run("document.getElementById('text').value = arguments[0]", text)
        page["generate"].click()
        page.wait(lambda text=text: page["output"].text == text)
        for selector in ("#text", "#output", "#hypotheses bdi"):
            (shown,) = page.all(selector)
            assert shown.value_of_css_property("direction") == direction


def test_a_phone_never_scrolls_sideways(page: Page) -> None:
    page.width(320)
    sideways = lambda: page.run("return document.documentElement.scrollWidth")  # noqa: E731
    assert sideways() == 320
    page.run("for (const part of document.querySelectorAll('details')) part.open = true")
    page.answer("abcdefghijklmnopqrstuvwxyz 0123456789")
    assert sideways() == 320
    box = page.run("const box = document.getElementById('picture'); return [box.clientWidth, box.scrollWidth]")
    assert box[0] < 300 < box[1]
    page["picture"].send_keys(Keys.ARROW_RIGHT)
    page.wait(lambda: page.run("return document.getElementById('picture').scrollLeft") > 0)
    page.run("document.getElementById('text').value = 'w'.repeat(500)")
    word = {"source": ["w" * 90], "target": ["w" * 90], "weights": [[1]]}
    page.fake(v1_generate={"body": [["result", of_result("w" * 500, alignment=word)], ["end", {}]]})
    page["generate"].click()
    page.wait(lambda: "w" * 500 in page["output"].text)
    assert sideways() == 320
    page.fake(v1_generate={"status": 422, "body": {"error": "w" * 500}})
    page["generate"].click()
    assert page.problem() == "w" * 500
    assert sideways() == 320
    assert page["generate"].size["height"] >= 40
    (viewport,) = page.all("meta[name=viewport]")
    assert viewport.get_attribute("content") == "width=device-width, initial-scale=1"


def test_light_and_dark_can_be_read(page: Page) -> None:
    page.set(n_best=2)
    page.answer("hello 12")
    page.run("for (const part of document.querySelectorAll('details')) part.open = true")
    page.run("document.getElementById('problem').textContent = 'what is wrong'")
    grounds = {}
    for scheme in ("light", "dark"):
        page.media(prefers_color_scheme=scheme)
        grounds[scheme] = page.run("return getComputedStyle(document.body).backgroundColor")
        contrasts = page.run(CONTRASTS)
        assert len(contrasts) > 150
        assert [one for one in contrasts if one[1] < 4.5] == []
    assert sum(map(int, grounds["light"][4:-1].split(","))) > 600
    assert sum(map(int, grounds["dark"][4:-1].split(","))) < 150


def test_who_wants_no_motion_gets_none(page: Page) -> None:
    page.run("document.getElementById('output').ariaBusy = 'true'")
    moving = "return getComputedStyle(document.getElementById('output'), '::after').animationName"
    assert page.run(moving) == "blink"
    page.media(prefers_reduced_motion="reduce")
    assert page.run(moving) == "none"


def test_what_is_refused_is_told_in_one_line(page: Page, generator: Generator) -> None:
    page.type("  \n ")
    page["generate"].click()
    assert page.problem() == "Type a text first."
    page.type("a" * 50)
    page["generate"].click()
    page.wait(lambda: "51 source tokens with its end, at most 40 are allowed" in page["problem"].text)
    assert page["status"].text == ""
    assert page["problem"].get_attribute("role") == "alert"
    assert page["text"].get_attribute("aria-describedby").split()[-1] == "problem"
    page.set(n_best=9)
    page.type("a")
    page["generate"].click()
    page.wait(lambda: "n_best: expected at most the beam size, 4, got 9" in page["problem"].text)
    page.set(n_best=1, min_length=-1)
    page.run("document.querySelector('#further').open = false")
    page["generate"].click()
    assert page.run("return document.querySelector('#further').open")
    assert page.run("return document.activeElement.name") == "min_length"
    page.set(min_length=0)
    assert page.answer("a") == generator(["a"])[0][0].text
    assert page["problem"].text == ""


def test_a_busy_server_and_one_that_fails_midway(page: Page) -> None:
    began = ["written", {"index": 0, "text": "half"}]
    for answer, why in (
        (
            {"status": 429, "headers": {"retry-after": "7"}, "body": {"error": "full"}},
            "try again in 7 s",
        ),
        ({"status": 502, "body": None}, "The server answers 502"),
        ({"body": [began]}, "The connection broke off"),
        ({"body": [began, ["error", {"error": "not done within 1 s", "status": 504}]]}, "not done within 1 s"),
    ):
        page.fake(v1_generate=answer)
        page.type("a")
        page["generate"].click()
        page.wait(lambda why=why: why in page["problem"].text)
        assert page["output"].text == ("half" if "status" not in answer else "Nothing yet.") or not page["output"].text
        assert page["status"].text == ""
        assert page["output"].get_attribute("aria-busy") == "false"
        assert page.run("return signal.aborted")


def test_a_server_that_wants_a_token_until_it_is_gone(
    browser: Page, serving: Any, stepwise_bundle: Path, generator: Generator
) -> None:
    expected = generator(["hello 12"])[0][0].text
    with serving(stepwise_bundle, KERAS_S2S_TOKEN="sécret") as server:
        browser.open(server.url, None)
        browser.wait(lambda: browser["entry"].is_displayed())
        assert browser["token"].get_attribute("type") == "password"
        assert browser.run("return document.activeElement.id") == "token"
        assert browser["entry-problem"].text == ""
        browser["token"].send_keys("wrong", Keys.ENTER)
        assert browser.problem("entry-problem") == "That token is wrong."
        browser["token"].send_keys("sécret", Keys.ENTER)
        browser.wait(lambda: browser["about"].is_displayed())
        assert not browser["entry"].is_displayed()
        assert browser["token"].get_attribute("value") == ""
        assert browser.answer("hello 12") == expected
        browser.open(server.url)
        assert browser.answer("hello 12") == expected
        assert browser.run("return [localStorage.length, document.cookie]") == [0, ""]
        browser.run("sessionStorage.clear()")
        browser.open(server.url, None)
        browser.wait(lambda: browser["entry"].is_displayed())
        browser["token"].send_keys("sécret", Keys.ENTER)
        browser.wait(lambda: browser["about"].is_displayed())
        assert server.stop() == 0
        browser.type("a")
        browser["generate"].click()
        assert browser.problem() == "The server does not answer."


def test_every_field_has_a_label_and_every_box_a_name(page: Page) -> None:
    page.set(n_best=3)
    page.answer("abcdefghijklmnopqrstuvwxyz 0123456789")
    page.run("for (const part of document.querySelectorAll('details')) part.open = true")
    fields = page.all("input, select, textarea, button, fieldset, [role=region], section")
    shown = [field for field in fields if field.is_displayed()]
    assert len(shown) > 20
    assert [field.get_attribute("outerHTML") for field in shown if not field.accessible_name] == []
    levels = [int(heading.tag_name[1]) for heading in page.all("h1, h2, h3") if heading.is_displayed()]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_docs_try_an_example(browser: Page, server: Any, generator: Generator) -> None:
    browser.driver.get(f"{server.url}/docs")
    for selector in ("[id*='generate_v1_generate'] .opblock-summary-control", ".try-out__btn", ".execute"):
        browser.wait(lambda selector=selector: browser.all(selector))
        browser.all(selector)[0].click()
    browser.wait(lambda: browser.all(".live-responses-table .microlight"))
    assert browser.texts(".live-responses-table .response .response-col_status")[0].startswith("200")
    sent, answer = (json.loads(browser.texts(s)[0]) for s in (".body-param__text", ".live-responses-table .microlight"))
    assert answer["results"][0]["hypotheses"][0]["text"] == generator([sent["text"]])[0][0].text
