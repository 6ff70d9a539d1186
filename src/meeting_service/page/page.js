// Keeps a room's page fresh, and lets the viewer in and out. All text from others is set as text, never as HTML.
"use strict";
(() => {
  const main = document.querySelector("main");
  const room = main.dataset.room;
  const at = (id) => document.getElementById(id);
  // Each look is also a sign of life. Browsers slow this to once a minute in a background tab; the service waits 90 s.
  const LOOK_EVERY_MS = 10000;
  const SENTENCES = {
    early: "This room is not open yet.",
    open: "This room is open.",
    over: "The planned time is over; the room is still open.",
    closed: "This room is closed.",
  };
  let token = null;
  let last = null;
  let timer = 0;
  let looks = 0;

  const store = {
    get: (key) => { try { return sessionStorage.getItem(`${room}.${key}`); } catch { return null; } },
    set: (key, value) => { try { sessionStorage.setItem(`${room}.${key}`, value); } catch { /* private mode */ } },
  };
  const hostKey = () => new URLSearchParams(location.hash.slice(1)).get("host") || "";
  const userUuid = (() => {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const fresh = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const uuid = store.get("user") || fresh;
    store.set("user", uuid);
    return uuid;
  })();

  const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
  const full = new Intl.DateTimeFormat(undefined, {
    weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "numeric", minute: "2-digit",
    timeZoneName: "short",
  });
  const brief = (ms) =>
    new Date(ms).toDateString() === new Date().toDateString() ? clock.format(ms) : full.format(ms);

  async function call(path, { body, method = body === undefined ? "GET" : "POST" } = {}) {
    const headers = { "content-type": "application/json" };
    if (token) headers.token = token;
    const answer = await fetch(path, {
      method, headers, cache: "no-store", credentials: "omit",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const envelope = await answer.json();
    if (envelope.code !== 0) throw Object.assign(new Error(envelope.msg), { envelope });
    return envelope.data;
  }

  function news(text) { at("news").textContent = text; }

  function changes(old, now) {
    if (old.state !== now.state && now.state === "closed") return "The meeting was closed.";
    if (old.state !== now.state && now.state === "open" && old.state === "early") return "The room is open now.";
    if (old.startsAt !== now.startsAt) return `The meeting now starts at ${brief(now.startsAt)}.`;
    if (now.endsAt > old.endsAt) return `The meeting was extended until ${brief(now.endsAt)}.`;
    if (now.endsAt < old.endsAt) return `The meeting now ends at ${brief(now.endsAt)}.`;
    return null;
  }

  function show(now) {
    if (now.you && !now.you.isIn && token) {
      token = null;
      store.set("isIn", "");
      if (now.you.wasRemoved) news("The host removed you from the room.");
    } else if (!now.you && token) {
      token = null;
      store.set("isIn", "");
      news("You are no longer in the room, or entered it elsewhere.");
    }
    // A message to the people inside; one from before the viewer came is no news.
    const notice = last && last.you && now.notice && now.notice.at !== (last.notice && last.notice.at) && now.notice;
    const text = notice ? notice.message : last && changes(last, now);
    if (text) news(text);
    last = now;
    const isIn = Boolean(now.you && now.you.isIn);
    const isHost = isIn && now.you.role === 1;
    document.title = now.title;
    main.dataset.state = now.state;
    at("title").textContent = now.title;
    at("state").textContent = isIn ? "You are in the room." : SENTENCES[now.state];
    for (const key of ["opensAt", "startsAt", "endsAt", "closesAt"]) {
      const time = at(key);
      time.closest("div").hidden = now[key] === null || (key === "opensAt" && now.state !== "early");
      if (now[key] !== null) {
        time.dateTime = new Date(now[key]).toISOString();
        time.textContent = full.format(now[key]);
      }
    }
    at("occupancy").textContent = now.occupancy;
    at("door").hidden = isIn || now.state === "closed" || now.state === "early";
    at("lock").hidden = !now.hasPassword || hostKey() !== "";
    at("inside").hidden = !isIn;
    at("end").hidden = !isHost;
    at("people").replaceChildren(...(now.people || []).map((person) => {
      const item = document.createElement("li");
      const add = (tag, name, text) => {
        const part = Object.assign(document.createElement(tag), { className: name, textContent: text });
        item.append(part);
        return part;
      };
      add("span", "name", person.userName);
      const isMe = isIn && person.userId === now.you.userId;
      if (person.role === 1) add("span", "tag", "host");
      if (isMe) add("span", "tag", "you");
      if (isHost && !isMe) {
        const button = add("button", "", "Remove");
        button.type = "button";
        button.setAttribute("aria-label", `Remove ${person.userName}`);
        button.onclick = () => act(`/room/${room}/user/${person.userId}/exit`, {});
      }
      return item;
    }));
  }

  async function look() {
    clearTimeout(timer);
    const turn = ++looks;
    try {
      const now = await call(`${room}/state`);
      if (turn !== looks) return;
      if (at("news").dataset.isOffline) { news(""); delete at("news").dataset.isOffline; }
      show(now);
    } catch (error) {
      if (turn !== looks) return;
      if (error.envelope) {
        news(error.message);
      } else {
        news("The connection is lost; trying again.");
        at("news").dataset.isOffline = "yes";
      }
    }
    let pause = LOOK_EVERY_MS;
    if (last && last.state === "closed") pause = 6 * LOOK_EVERY_MS;
    // On time at the door: by the server's clock, not the viewer's.
    if (last && last.state === "early") pause = Math.max(500, Math.min(pause, last.opensAt - last.now + 250));
    timer = setTimeout(look, pause);
  }

  async function act(path, body) {
    try {
      await call(main.dataset.api + path, { body });
    } catch (error) {
      news(error.message);
    }
    look();
  }

  async function enter(name, password) {
    const body = { userUuid, userName: name, password, hostKey: hostKey() };
    const entered = await call(`${room}/enter`, { body });
    looks += 1;
    token = entered.userToken;
    store.set("name", name);
    store.set("isIn", "yes");
    news("");
    show(entered.room);
    at("leave").focus();
    clearTimeout(timer);
    timer = setTimeout(look, LOOK_EVERY_MS);
  }

  at("door").addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.target.querySelector("button");
    button.disabled = true;
    at("problem").textContent = "";
    try {
      await enter(at("name").value.trim(), at("password").value);
      at("password").value = "";
    } catch (error) {
      at("problem").textContent = error.envelope ? `You could not enter: ${error.message}.` : "The service cannot be reached.";
    } finally {
      button.disabled = false;
    }
  });

  at("leave").addEventListener("click", async () => {
    const body = { token };
    token = null;
    store.set("isIn", "");
    try { await call(`${room}/leave`, { body }); } catch { /* counts as gone soon by itself */ }
    await look();
    news("You left the room.");
    if (!at("door").hidden) at("name").focus();
  });

  at("end").addEventListener("click", () => {
    if (confirm("End the meeting for everyone?")) act(`/room/${room}`, { state: 0 });
  });

  window.addEventListener("pagehide", () => {
    if (token) navigator.sendBeacon(`${room}/leave`, JSON.stringify({ token }));
    token = null;
  });

  async function start() {
    at("name").value = store.get("name") || "";
    // Reloaded, or brought back from the browser's history, while in the room.
    if (store.get("isIn") && at("name").value) {
      try { await enter(at("name").value, ""); return; } catch { store.set("isIn", ""); }
    }
    look();
  }
  window.addEventListener("pageshow", (event) => { if (event.persisted) start(); });
  window.addEventListener("hashchange", () => { if (last) show(last); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  start();
})();
