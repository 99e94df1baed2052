// The page: its state, and what each control does to it. Whatever changes state calls a show
// function, which writes that part of the page anew.

import { emptyView, errorWords, outcome, recordView, taskName } from "./answer.js";
import { ApiError, ask, getJson, token } from "./api.js";
import { setUpCamera } from "./camera.js";
import { el, icon } from "./dom.js";
import { fits, readFiles, scaledDown, thumbnail } from "./pictures.js";
import { forgetAll, remember, showVisit } from "./visit.js";
import { WORDS, formatBytes, formatShare, getLanguage, has, preferred, say, setLanguage } from "./words.js";

const SAMPLE = { file: "page/sample-listing.png", title: "商品标题：特效药根治糖尿病！", task: "audit" };
const RETRY_MS = 3000;
const IMAGES_MAX_DEFAULT = 8;

const find = (id) => document.getElementById(id);

const page = {
    tasks: [],
    limits: null,
    model: "",
    task: "",
    pictures: [],
    notice: "",        // about pictures that were not added
    asIs: true,
    running: null,     // AbortController of the request under way
    record: null,      // what the answer's place shows
    server: { is: "", key: "", values: {} },
    isLocked: false,   // the server wants a token, or another one
    isAskWaiting: false, // for a token
};

/* ---- words, language, theme ---- */

function fillWords() {
    document.documentElement.lang = getLanguage() === "zh" ? "zh-CN" : "en";
    document.title = say("title");
    for (const node of document.querySelectorAll("[data-word]")) node.textContent = say(node.dataset.word);
    for (const attribute of ["aria-label", "title"])
        for (const node of document.querySelectorAll(`[data-word-${attribute}]`))
            node.setAttribute(attribute, say(node.getAttribute(`data-word-${attribute}`)));
    const other = getLanguage() === "zh" ? "en" : "zh";
    find("language").textContent = WORDS[other].name;
    find("language").lang = other;
}

function switchLanguage() {
    setLanguage(getLanguage() === "zh" ? "en" : "zh");
    keep("glint-language", getLanguage());
    showAll();
}

const isDark = () => getComputedStyle(document.documentElement).colorScheme === "dark" ||
    (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);

function showTheme() {
    find("theme").setAttribute("aria-pressed", String(isDark()));
}

function switchTheme() {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    keep("glint-theme", document.documentElement.dataset.theme);
    showTheme();
}

// Language and theme outlive the visit; where storage is forbidden they do not.
function keep(key, value) {
    try {
        localStorage.setItem(key, value);
    } catch { /* the page works without */ }
}

function kept(key) {
    try {
        return localStorage.getItem(key);
    } catch {
        return null;
    }
}

/* ---- the server ---- */

function showServer() {
    const state = find("state"), words = page.server.key ? say(page.server.key, page.server.values) : "";
    if (state.textContent !== words) state.textContent = words;
    state.dataset.is = page.server.is;
}

function setServer(is, key, values = {}) {
    page.server = { is, key, values };
    showServer();
}

// Learns what can be asked; tries again until the server is there and ready.
async function meetServer() {
    try {
        const [{ tasks, limits }, models] = await Promise.all([getJson("v1/tasks"), getJson("v1/models")]);
        Object.assign(page, { tasks, limits, model: models.data[0].id, isLocked: false });
        if (!tasks.some((task) => task.name === page.task)) chooseTask(tasks[0]?.name ?? "");
        setServer("ready", "state_ready", { model: page.model });
        showAll();
        scaleAll();
        return true;
    } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        meetTrouble(error);
        return false;
    }
}

function meetTrouble(error) {
    if (error.status === 401 || error.code === "too_many_failures") {
        lock(error);
        return;
    }
    const key = { loading: "state_loading", draining: "state_draining" }[error.code] ?? "state_away";
    setServer(key === "state_away" ? "away" : "busy", key);
    setTimeout(meetServer, error.retryAfterS * 1000 || RETRY_MS);
}

function lock(error) {
    const hadToken = token.get() !== "";
    page.isLocked = true;
    setServer("busy", "state_locked");
    showToken();
    showAsk();
    find("token-problem").textContent = error.code === "too_many_failures" ? errorWords(error)
        : hadToken ? say("token_wrong") : "";
    find("token-text").focus();
}

function showToken() {
    find("token").hidden = !page.isLocked;
    find("token-forget").hidden = page.isLocked || token.get() === "";
}

async function useToken(event) {
    event.preventDefault();
    const text = find("token-text").value.trim();
    const problem = find("token-problem");
    problem.textContent = text === "" ? say("token_missing") : /^[!-~]+$/.test(text) ? "" : say("token_characters");
    if (problem.textContent) {
        find("token-text").focus();
        return;
    }
    token.set(text);
    if (!(await meetServer())) return;
    find("token-text").value = "";
    find("ask").focus();
    if (page.isAskWaiting) submit();
}

function forgetToken() {
    token.forget();
    page.tasks = [];
    showAll();
    meetServer();
}

/* ---- pictures ---- */

const imagesMax = () => page.limits?.images ?? IMAGES_MAX_DEFAULT;
const sent = (picture) => (page.asIs ? picture.file : picture.scaled ?? picture.file);

async function addFiles(files) {
    const { pictures, refused } = await readFiles(files, (suffix) => `${say("pasted")}.${suffix ?? ""}`);
    const room = Math.max(0, imagesMax() - page.pictures.length);
    for (const extra of pictures.slice(room)) URL.revokeObjectURL(extra.url);
    page.pictures.push(...pictures.slice(0, room));
    page.notice = [...refused.map((name) => say("not_a_picture", { name })),
        ...(pictures.length > room ? [say("too_many", { n: imagesMax() })] : [])].join(" ");
    await scaleAll();
}

async function scaleAll() {
    showPictures();
    if (page.asIs || !page.limits) return;
    for (const picture of page.pictures) await scale(picture);
    showPictures();
}

// Once each, however often it is asked for.
function scale(picture) {
    picture.scaling ??= scaledDown(picture, page.limits.max_side_px).then((blob) => (picture.scaled = blob));
    return picture.scaling;
}

function removePicture(picture, index) {
    URL.revokeObjectURL(picture.url);
    page.pictures.splice(index, 1);
    page.notice = "";
    showPictures();
    (find("pictures").querySelectorAll("button")[Math.min(index, page.pictures.length - 1)] ?? find("choose")).focus();
}

function pictureItem(picture, index) {
    const blob = sent(picture);
    const size = blob === picture.file ? formatBytes(blob.size)
        : say("size_scaled", { from: formatBytes(picture.file.size), to: formatBytes(blob.size) });
    const image = el("img", { src: picture.url, alt: say("picture", { n: index + 1 }) });
    image.onerror = () => image.replaceWith(el("div", { class: "none" }, icon("picture"), say("no_preview")));
    return el("li", { class: "picture" },
        el("figure", {}, image,
            el("figcaption", { title: picture.name }, `${picture.name} · ${size}`)),
        el("button", { type: "button", "aria-label": say("remove", { name: picture.name }),
            onclick: () => removePicture(picture, index) }, icon("close")));
}

// Why the pictures cannot be sent, or "".
function sizeProblem() {
    if (!page.limits) return "";
    const { bytes, isFitting } = fits(page.pictures.map(sent), find("prompt").value, page.limits.body_bytes);
    if (isFitting) return "";
    return say(page.asIs ? "too_large" : "too_large_scaled",
        { size: formatBytes(bytes), max: formatBytes(page.limits.body_bytes) });
}

function showPictures() {
    const list = find("pictures"), has = page.pictures.length > 0;
    list.replaceChildren(...page.pictures.map(pictureItem));
    list.classList.toggle("one", page.pictures.length === 1);
    find("drop").classList.toggle("full", has);
    find("choose").textContent = say(has ? "add" : "choose");
    find("pictures-problem").textContent = [page.notice, sizeProblem()].filter(Boolean).join(" ");
    find("as-is-words").textContent = say("as_is", { max: formatBytes(page.limits?.body_bytes ?? 20 << 20) });
    showAsk();
}

/* ---- task and question ---- */

const taskOf = (name) => page.tasks.find((task) => task.name === name);
const defaultPrompt = (name) => taskOf(name)?.default_prompt ?? "";

// Replaces a question that nobody wrote.
function chooseTask(name) {
    const prompt = find("prompt");
    if (prompt.value.trim() === "" || prompt.value === defaultPrompt(page.task)) prompt.value = defaultPrompt(name);
    page.task = name;
    showTasks();
}

// The page's translation, as long as the server says the same; else the server's own words.
function taskWords(task) {
    const key = `about_${task.name}`;
    return has(key) && WORDS.en[key] === task.description ? say(key) : task.description;
}

function showTasks() {
    const task = taskOf(page.task);
    find("tasks").closest("fieldset").hidden = page.tasks.length === 0;
    find("tasks").replaceChildren(...page.tasks.map(({ name }) => {
        const input = el("input", { type: "radio", name: "task", value: name, "aria-describedby": "task-hint" });
        input.checked = name === page.task;
        input.onchange = () => {
            chooseTask(name);
            find("tasks").querySelector(":checked").focus();
        };
        return el("label", { class: "pill" }, input, taskName(name));
    }));
    find("task-hint").textContent = task ? taskWords(task) : "";
    const hasKeyboard = !matchMedia("(pointer: coarse)").matches;
    find("prompt-hint").textContent =
        [task?.default_prompt && say("prompt_default"), hasKeyboard && say("prompt_keys")].filter(Boolean).join(" ");
    find("schema-field").hidden = page.task !== "extract";
}

// The schema as text, "" for none; null when it is not one.
function readSchema() {
    const text = find("schema-field").hidden ? "" : find("schema").value.trim();
    let why = "";
    try {
        const value = text ? JSON.parse(text) : {};
        if (typeof value !== "object" || value === null || Array.isArray(value)) why = "{…}";
    } catch (error) {
        why = error.message;
    }
    find("schema-problem").textContent = why && say("schema_bad", { why });
    find("schema").setAttribute("aria-invalid", String(why !== ""));
    return why ? null : text;
}

/* ---- asking ---- */

function showAsk() {
    // Without a token it can be pressed, and leads to where one is entered.
    const cannot = page.running || (page.tasks.length === 0 && !page.isLocked) || sizeProblem() !== "";
    find("ask").setAttribute("aria-disabled", String(Boolean(cannot)));
    find("stop").hidden = !page.running;
}

function newRecord(schema) {
    const task = taskOf(page.task);
    const prompt = find("prompt").value.trim() === "" ? "" : find("prompt").value;
    return {
        request: { pictures: page.pictures.map(({ name }) => ({ name })), task: task.name,
            kind: schema ? "data" : task.answer, prompt, schema },
        thumbs: [], text: "", partial: undefined, answer: null, error: null, isStopped: false,
        isScaling: !page.asIs, needsToken: token.get() !== "", at: new Date(),
    };
}

async function makeThumbs(record, pictures) {
    record.thumbs = await Promise.all(pictures.map(({ file }) => thumbnail(file)));
    if (page.record === record) showAnswer();
    showVisit(page.record, showRecord);
}

async function submit(event) {
    event?.preventDefault();
    if (page.isLocked) {
        page.isAskWaiting = true;
        find("token-text").focus();
        return;
    }
    const schema = readSchema();
    if (find("ask").getAttribute("aria-disabled") === "true") return;
    if (schema === null) {
        find("schema").focus();
        return;
    }
    page.isAskWaiting = false;
    page.notice = "";
    page.running = new AbortController();
    const record = (page.record = newRecord(schema)), pictures = [...page.pictures];
    makeThumbs(record, pictures);
    showAsk();
    showAnswer();
    comeIntoView();
    find("news").textContent = say("waiting");
    await run(record, pictures);
    page.running = null;
    if (document.activeElement === find("stop")) find("ask").focus();
    showAsk();
    finish(record);
}

async function run(record, pictures) {
    const { prompt, task, schema } = record.request, { signal } = page.running;
    const fields = { task };
    if (prompt) fields.prompt = prompt;
    if (schema) fields.schema = schema;
    let frame = 0;
    const onText = (piece) => {
        record.text += piece;
        frame ||= requestAnimationFrame(() => {
            frame = 0;
            if (page.record === record) showAnswer();
        });
    };
    try {
        if (!page.asIs) await Promise.all(pictures.map(scale));
        record.isScaling = false;
        if (sizeProblem()) throw new ApiError("body_too_large");
        record.answer = await ask({ fields, files: pictures.map(sent) }, { signal, onText });
    } catch (error) {
        if (error.name === "AbortError") record.isStopped = true;
        else if (error instanceof ApiError) record.error = error;
        else throw error;
    } finally {
        cancelAnimationFrame(frame);
    }
}

function finish(record) {
    if (record.error?.code === "unauthenticated") {
        page.isAskWaiting = true;
        lock(record.error);
    } else if (["network", "draining", "loading"].includes(record.error?.code)) meetTrouble(record.error);
    remember(record);
    showRecord(record);
    find("news").textContent = record.error ? errorWords(record.error) : record.isStopped ? say("stopped")
        : say("news_answer", { what: [outcome(record), record.answer.text].filter(Boolean).join(": "),
            confidence: formatShare(record.answer.confidence) });
}

function comeIntoView() {
    if (find("answer").getBoundingClientRect().top < innerHeight * 0.25) return;
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    find("answer").scrollIntoView({ block: "start", behavior: isCalm ? "auto" : "smooth" });
}

async function trySample() {
    const response = await fetch(SAMPLE.file);
    for (const picture of page.pictures.splice(0)) URL.revokeObjectURL(picture.url);
    await addFiles([new File([await response.blob()], "sample-listing.png", { type: "image/png" })]);
    find("ask").focus({ preventScroll: true });
    if (!page.isLocked) {
        chooseTask(SAMPLE.task);
        find("prompt").value = `${SAMPLE.title}\n${defaultPrompt(SAMPLE.task)}`;
    }
    submit();
}

/* ---- the answer's place ---- */

const isOver = (record) => Boolean(record.answer || record.error || record.isStopped);

function showAnswer() {
    const canSample = page.isLocked ? false : taskOf(SAMPLE.task) && trySample;
    const view = page.record ? recordView(page.record, submit) : emptyView(canSample);
    find("answer-body").replaceChildren(...view.filter(Boolean));
    find("answer").setAttribute("aria-busy", String(page.record !== null && !isOver(page.record)));
}

function showRecord(record) {
    page.record = record;
    showAnswer();
    showVisit(record, showRecord);
}

function clearVisit() {
    forgetAll();
    if (!page.running) page.record = null;
    showAnswer();
    showVisit(page.record, showRecord);
    find("ask").focus();
}

function showAll() {
    fillWords();
    showServer();
    showToken();
    showTasks();
    showPictures();
    showAnswer();
    showVisit(page.record, showRecord);
}

/* ---- wiring ---- */

function setUpDrop() {
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    let depth = 0; // dragenter and dragleave come for every element on the way
    const over = (change) => {
        depth = change === 0 ? 0 : depth + change;
        find("drop").classList.toggle("over", depth > 0);
    };
    document.addEventListener("dragenter", (event) => hasFiles(event) && over(1));
    document.addEventListener("dragleave", (event) => hasFiles(event) && over(-1));
    document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
    document.addEventListener("drop", (event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        over(0);
        addFiles(event.dataTransfer.files);
    });
    document.addEventListener("paste", (event) => {
        if (!event.clipboardData?.files.length) return;
        event.preventDefault();
        addFiles(event.clipboardData.files);
    });
}

function setUp() {
    setLanguage(kept("glint-language") in WORDS ? kept("glint-language") : preferred(navigator.languages));
    if (["light", "dark"].includes(kept("glint-theme"))) document.documentElement.dataset.theme = kept("glint-theme");
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
    showTheme();
    find("language").onclick = switchLanguage;
    find("theme").onclick = switchTheme;
    find("token").onsubmit = useToken;
    find("token-forget").onclick = forgetToken;
    find("choose").onclick = () => find("files").click();
    find("files").onchange = () => {
        addFiles([...find("files").files]);
        find("files").value = "";
    };
    setUpCamera((file) => addFiles([file]));
    setUpDrop();
    find("as-is").onchange = () => {
        page.asIs = find("as-is").checked;
        scaleAll();
    };
    find("prompt").oninput = showPictures;
    find("compose").onsubmit = submit;
    find("compose").onkeydown = (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
    };
    find("stop").onclick = () => page.running?.abort();
    find("visit-clear").onclick = clearVisit;
    showAll();
    meetServer();
}

setUp();
