// The server's interface: requests, answers as they come, errors. Knows nothing of the page.

const TOKEN_KEY = "glint-token";

// An error of the API, or of the page: network, broken_stream, bad_answer.
export class ApiError extends Error {
    constructor(code, { message = "", param = null, requestId = "", retryAfterS = 0, status = 0 } = {}) {
        super(message || code);
        Object.assign(this, { code, param, requestId, retryAfterS, status });
    }
}

export const token = {
    get: () => sessionStorage.getItem(TOKEN_KEY) ?? "",
    set: (text) => sessionStorage.setItem(TOKEN_KEY, text),
    forget: () => sessionStorage.removeItem(TOKEN_KEY),
};

async function errorOf(response) {
    const requestId = response.headers.get("X-Request-Id") ?? "";
    const about = { requestId, status: response.status, retryAfterS: Number(response.headers.get("Retry-After")) || 0 };
    try {
        const { error } = await response.json();
        return new ApiError(error.code, { ...about, message: error.message, param: error.param });
    } catch {
        return new ApiError("bad_answer", about);
    }
}

async function send(path, options = {}) {
    const headers = { ...options.headers };
    if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
    let response;
    try {
        response = await fetch(path, { ...options, headers, cache: "no-store" });
    } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new ApiError("network");
    }
    if (!response.ok) throw await errorOf(response);
    return response;
}

export async function getJson(path) {
    const response = await send(path);
    try {
        return await response.json();
    } catch {
        throw new ApiError("bad_answer", { requestId: response.headers.get("X-Request-Id") ?? "" });
    }
}

// multipart/form-data by hand: the browser's own FormData would turn the line ends of a prompt
// into CRLF, and the model would read another text than was written.
export function formBody(fields, files) {
    const boundary = `glint-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
    const parts = [];
    for (const [name, value] of Object.entries(fields))
        parts.push(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n`, value, "\r\n");
    for (const file of files)
        parts.push(`--${boundary}\r\nContent-Disposition: form-data; name="image"; filename="picture"\r\n`,
            "Content-Type: application/octet-stream\r\n\r\n", file, "\r\n");
    parts.push(`--${boundary}--\r\n`);
    return { type: `multipart/form-data; boundary=${boundary}`, body: new Blob(parts) };
}

// Server-sent events of a stream of bytes: { name, data }, as section 9.2.6 of the HTML standard
// reads them, without ids and retry times.
export async function* readEvents(stream) {
    const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", name = "", data = [];
    for (;;) {
        const { value, done } = await reader.read();
        if (done) return; // what has no empty line behind it is not an event
        rest += value;
        for (;;) {
            const end = /\r\n|\n|\r(?!$)/.exec(rest);
            if (!end) break;
            const line = rest.slice(0, end.index);
            rest = rest.slice(end.index + end[0].length);
            if (line === "") {
                if (data.length > 0) yield { name, data: data.join("\n") };
                name = "";
                data = [];
                continue;
            }
            const [, field, text] = /^([^:]*):? ?([^]*)$/.exec(line);
            if (field === "data") data.push(text);
            else if (field === "event") name = text;
        }
    }
}

// Ask, call onText with each piece of text, and return the whole answer. signal stops it: the
// server sees the connection close and lets go.
export async function ask({ fields, files }, { signal, onText }) {
    const form = formBody({ ...fields, stream: "true" }, files);
    const response = await send("v1/multimodal/inference", {
        method: "POST", body: form.body, headers: { "Content-Type": form.type }, signal,
    });
    const requestId = response.headers.get("X-Request-Id") ?? "";
    let answer = null, isComplete = false;
    try {
        for await (const { name, data } of readEvents(response.body)) {
            if (data === "[DONE]") {
                isComplete = true;
                break;
            }
            const event = JSON.parse(data);
            if (name === "error") throw new ApiError(event.error.code, { ...event.error, requestId });
            if ("delta" in event) onText(event.delta);
            else answer = event;
        }
    } catch (error) {
        if (error.name === "AbortError" || error instanceof ApiError) throw error;
        throw new ApiError(error instanceof SyntaxError ? "bad_answer" : "broken_stream", { requestId });
    }
    if (!isComplete || !answer?.timing_ms) throw new ApiError("broken_stream", { requestId });
    return answer;
}
