// JSON that is still being written, read as far as it goes.

// The value of a beginning of a JSON text, with what is open closed; undefined where that is not
// possible (a key without its value, half a word): keep what the last call gave.
export function readPartial(text) {
    const closers = [];
    let inString = false;
    for (let i = 0; i < text.length; i++) {
        const c = text[i];
        if (inString) {
            if (c === "\\") i++;
            else if (c === '"') inString = false;
        } else if (c === '"') inString = true;
        else if (c === "{") closers.push("}");
        else if (c === "[") closers.push("]");
        else if (c === "}" || c === "]") closers.pop();
    }
    let end = text;
    if (inString) end = withoutHalfEscape(text) + '"';
    else end = text.replace(/,\s*$/, "");
    try {
        return JSON.parse(end + closers.reverse().join(""));
    } catch {
        return undefined;
    }
}

function withoutHalfEscape(text) {
    const half = /(\\+)(u[0-9a-fA-F]{0,3})?$/.exec(text);
    // An even number of backslashes is made of whole ones.
    return half && half[1].length % 2 === 1 ? text.slice(0, half.index + half[1].length - 1) : text;
}
