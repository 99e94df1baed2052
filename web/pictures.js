// The pictures of a request: what they are, how large, and smaller ones of them. In memory only.

const THUMB_PX = 160;
const JPEG_QUALITY = 0.92;

// Room that a request's other parts take of the body's limit.
const FORM_BYTES = 4096;

const ascii = (bytes, from, to) => String.fromCharCode(...bytes.slice(from, to));

// By content, as the server does it; "" when it is none of them.
export async function kindOf(blob) {
    const bytes = new Uint8Array(await blob.slice(0, 12).arrayBuffer());
    if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "image/jpeg";
    if (ascii(bytes, 0, 8) === "\x89PNG\r\n\x1a\n") return "image/png";
    if (ascii(bytes, 0, 4) === "RIFF" && ascii(bytes, 8, 12) === "WEBP") return "image/webp";
    if (/^GIF8[79]a/.test(ascii(bytes, 0, 6))) return "image/gif";
    return "";
}

// A canvas of the picture, upright, its longest side at most maxSide; null for a damaged one.
async function draw(blob, maxSide) {
    let bitmap;
    try {
        bitmap = await createImageBitmap(blob);
    } catch {
        return null;
    }
    const scale = Math.min(1, maxSide / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const isSmaller = scale < 1;
    bitmap.close();
    return { canvas, isSmaller };
}

const toBlob = (canvas, type) => new Promise((resolve) => canvas.toBlob(resolve, type, JPEG_QUALITY));

// Scaled down to maxSide; the file itself when it is no larger, or cannot be read here: what is
// wrong with it is the server's to say.
export async function scaledDown(picture, maxSide) {
    const drawn = await draw(picture.file, maxSide);
    if (!drawn?.isSmaller) return picture.file;
    const type = picture.kind === "image/jpeg" ? "image/jpeg" : "image/png";
    const blob = await toBlob(drawn.canvas, type);
    return blob && blob.size < picture.file.size ? blob : picture.file;
}

// An object URL of a small copy, "" when there can be none.
export async function thumbnail(blob) {
    const drawn = await draw(blob, THUMB_PX);
    const small = drawn && (await toBlob(drawn.canvas, "image/png"));
    return small ? URL.createObjectURL(small) : "";
}

// What can be added of `files`: pictures, and the names of those that are none.
export async function readFiles(files, nameOf) {
    const pictures = [], refused = [];
    for (const file of files) {
        const kind = await kindOf(file);
        const name = file.name || nameOf(kind.split("/")[1]);
        if (kind) pictures.push({ file, kind, name, url: URL.createObjectURL(file), scaled: null, scaling: null });
        else refused.push(name);
    }
    return { pictures, refused };
}

// Whether blobs and a prompt fit into a body of bodyBytes; how much they are.
export function fits(blobs, promptText, bodyBytes) {
    const bytes = blobs.reduce((sum, blob) => sum + blob.size, 0);
    const other = FORM_BYTES + new Blob([promptText]).size;
    return { bytes, isFitting: bytes + other <= bodyBytes };
}
