// A photograph: by the phone's own camera program where there is one, else in a dialog.

import { say } from "./words.js";

const find = (id) => document.getElementById(id);

function stopTracks(video) {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.srcObject = null;
}

async function openDialog(onPicture) {
    const dialog = find("camera"), video = find("camera-video"), problem = find("camera-problem");
    problem.textContent = "";
    find("camera-take").disabled = true;
    dialog.onclose = () => stopTracks(video);
    find("camera-cancel").onclick = () => dialog.close();
    find("camera-take").onclick = () => {
        const canvas = document.createElement("canvas");
        canvas.width = video.videoWidth;
        canvas.height = video.videoHeight;
        canvas.getContext("2d").drawImage(video, 0, 0);
        canvas.toBlob((blob) => {
            dialog.close();
            if (blob) onPicture(new File([blob], `${say("photo")}.jpg`, { type: blob.type }));
        }, "image/jpeg", 0.92);
    };
    dialog.showModal();
    try {
        const stream = await navigator.mediaDevices.getUserMedia({
            video: { facingMode: "environment", width: { ideal: 1920 } },
        });
        video.srcObject = stream;
        if (!dialog.open) return stopTracks(video);
        await video.play();
        find("camera-take").disabled = false;
        find("camera-take").focus();
    } catch {
        problem.textContent = say("camera_refused");
    }
}

// Wires the button; it goes away where no camera can be used (no secure context, no devices).
export function setUpCamera(onPicture) {
    const button = find("photograph"), capture = find("capture");
    const isPhone = matchMedia("(pointer: coarse)").matches;
    const canFilm = Boolean(navigator.mediaDevices?.getUserMedia);
    button.hidden = !isPhone && !canFilm;
    button.onclick = () => (isPhone ? capture.click() : openDialog(onPicture));
    capture.onchange = () => {
        for (const file of capture.files) onPicture(file);
        capture.value = "";
    };
}
