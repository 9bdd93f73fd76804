const RATE = 60 / match.ticksPerFrame;            // frames per second at speed 1
const PER_SIDE = match.membersPerSide, AGENTS = PER_SIDE - 1, MEMBERS = 2 * PER_SIDE;
const EFFECTS = ["dazed", "crippled", "iron", "floating"], BEAMS = ["HealingGland", "VampireGland"];
const CASTING = 1, PERFORMING = 2, ACTION_WIDTH = 5;
const OWN = match.own, OTHER = 1 - OWN;
const colours = getComputedStyle(document.documentElement);
const colourOf = side => colours.getPropertyValue(side === OWN ? "--own" : "--other").trim();
const element = id => document.getElementById(id);
const sideOf = member => member < PER_SIDE ? 0 : 1;
const isStatue = member => member % PER_SIDE === 0;
const memberOf = agent => Math.floor(agent / AGENTS) * PER_SIDE + 1 + agent % AGENTS;   // agent of both sides, 0..5
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

// Sum of each side's rewards up to each frame, and the shots in flight at each frame.
for (const episode of match.episodes) {
  episode.steps = episode.frames - 1;
  episode.sums = [new Float64Array(episode.frames), new Float64Array(episode.frames)];
  const sums = [0, 0], at = episode.rewards;
  let next = 0;
  for (let frame = 1; frame < episode.frames; frame++) {
    for (; next < at.length && at[next][0] < frame; next++) sums[Math.floor(at[next][1] / AGENTS)] += at[next][3];
    episode.sums[0][frame] = sums[0]; episode.sums[1][frame] = sums[1];
  }
  episode.shotsAt = Array.from({length: episode.frames}, () => new Map());
  for (const [frame, shot, x, y, target] of episode.shots) episode.shotsAt[frame].set(shot, {x, y, target});
}

let now = 0, index = 0, playing = false, speed = 1, last = null, shownFrame = -1;
const view = {episode: match.episodes[0]};
const scenery = new Image();
scenery.onload = () => draw();
scenery.src = match.scenery;

function value(name, frame, member) { return view.episode[name][frame * MEMBERS + member]; }

function pose(member) {
  const frame = Math.min(Math.floor(now), view.episode.frames - 1), after = Math.min(frame + 1, view.episode.frames - 1);
  const part = now - frame, mix = name => value(name, frame, member) + part * (value(name, after, member) - value(name, frame, member));
  const from = value("heading", frame, member);
  let turn = (value("heading", after, member) - from) % (2 * Math.PI);
  if (turn > Math.PI) turn -= 2 * Math.PI; else if (turn < -Math.PI) turn += 2 * Math.PI;
  return {x: mix("x"), y: mix("y"), heading: from + part * turn, hitpoints: mix("hitpoints")};
}

function fit(canvas) {
  const ratio = window.devicePixelRatio || 1, width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [pen, canvas.clientWidth, canvas.clientHeight];
}

function drawArena() {
  const [pen, width] = fit(element("arena"));
  const [west, east, south, north] = match.extent, scale = width / (east - west);
  const at = (x, y) => [(x - west) * scale, (north - y) * scale];
  pen.drawImage(scenery, 0, 0, width, width);
  const frame = Math.min(Math.floor(now), view.episode.frames - 1), poses = Array.from({length: MEMBERS}, (_, member) => pose(member));
  const unit = Math.max(0.5 * scale, 6);
  pen.lineWidth = 1;
  for (let member = 0; member < MEMBERS; member++) {            // focus
    const target = value("focus", frame, member);
    if (isStatue(member) || target < 0 || value("hitpoints", frame, member) <= 0) continue;
    pen.strokeStyle = colourOf(sideOf(member)); pen.globalAlpha = 0.35; pen.setLineDash([4, 4]);
    pen.beginPath(); pen.moveTo(...at(poses[member].x, poses[member].y)); pen.lineTo(...at(poses[target].x, poses[target].y)); pen.stroke();
    pen.setLineDash([]); pen.globalAlpha = 1;
  }
  for (let member = 0; member < MEMBERS; member++) {
    const own = poses[member], [x, y] = at(own.x, own.y), colour = colourOf(sideOf(member));
    const alive = value("hitpoints", frame, member) > 0;
    pen.globalAlpha = alive ? 1 : 0.4;
    pen.fillStyle = colour; pen.strokeStyle = "#0c0e11"; pen.lineWidth = 1.5;
    if (isStatue(member)) {
      const half = 1.3 * unit;
      pen.beginPath(); pen.moveTo(x, y - half); pen.lineTo(x + half, y); pen.lineTo(x, y + half); pen.lineTo(x - half, y); pen.closePath(); pen.fill(); pen.stroke();
    } else if (alive) {
      const angle = -own.heading;
      pen.beginPath(); pen.arc(x, y, unit, angle + 0.5, angle - 0.5 + 2 * Math.PI); pen.lineTo(x + 1.7 * unit * Math.cos(angle), y + 1.7 * unit * Math.sin(angle)); pen.closePath(); pen.fill(); pen.stroke();
      pen.fillStyle = "#0c0e11"; pen.font = `600 ${Math.round(1.15 * unit)}px system-ui`; pen.textAlign = "center"; pen.textBaseline = "middle";
      pen.fillText(String(member % PER_SIDE), x, y);
    } else {
      pen.strokeStyle = colour; pen.lineWidth = 3;
      pen.beginPath(); pen.moveTo(x - unit, y - unit); pen.lineTo(x + unit, y + unit); pen.moveTo(x + unit, y - unit); pen.lineTo(x - unit, y + unit); pen.stroke();
    }
    pen.globalAlpha = 1;
    if (!alive) continue;
    const wide = 2.6 * unit, top = y - (isStatue(member) ? 2.1 : 1.9) * unit, left = x - wide / 2, share = clamp(own.hitpoints / 100, 0, 1);
    pen.fillStyle = "#0c0e11"; pen.fillRect(left - 1, top - 1, wide + 2, 5);
    pen.fillStyle = share > 0.5 ? "#6fd08c" : share > 0.25 ? "#f0c94c" : "#ff6f6f"; pen.fillRect(left, top, wide * share, 3);
    const state = value("castState", frame, member), ability = value("castAbility", frame, member);
    pen.font = "11px system-ui"; pen.textAlign = "center"; pen.textBaseline = "bottom";
    const notes = EFFECTS.filter((_, bit) => value("effects", frame, member) >> bit & 1);
    if (state === CASTING || state === PERFORMING) {
      const item = match.items[ability - 1], target = value("castTarget", frame, member);
      pen.strokeStyle = state === PERFORMING ? "#ffffff" : "rgba(255,255,255,.55)"; pen.lineWidth = state === PERFORMING ? 2.5 : 1.2;
      pen.beginPath(); pen.arc(x, y, 1.55 * unit, 0, 2 * Math.PI); pen.stroke();
      if (state === PERFORMING && BEAMS.includes(item) && target >= 0) {
        pen.strokeStyle = item === "HealingGland" ? "#6fd08c" : "#d873e0"; pen.lineWidth = 2.5;
        pen.beginPath(); pen.moveTo(x, y); pen.lineTo(...at(poses[target].x, poses[target].y)); pen.stroke();
      }
      notes.unshift(item);
    }
    if (notes.length) { outlined(pen, notes.join(" · "), x, top - 3, "#ffffff"); }
  }
  for (const [shot, from] of view.episode.shotsAt[frame]) {      // in flight
    const to = frame + 1 < view.episode.frames ? view.episode.shotsAt[frame + 1].get(shot) : null, part = now - frame;
    const goal = to || {x: poses[from.target].x, y: poses[from.target].y};
    const [x, y] = at(from.x + part * (goal.x - from.x), from.y + part * (goal.y - from.y));
    pen.fillStyle = "#fff3b0"; pen.beginPath(); pen.arc(x, y, 3, 0, 2 * Math.PI); pen.fill();
  }
  const shown = 8;                                               // frames for which a number floats
  for (let past = Math.max(1, frame - shown); past <= frame; past++) for (let member = 0; member < MEMBERS; member++) {
    const change = value("hitpoints", past, member) - value("hitpoints", past - 1, member);
    if (change > -1 && change < 1) continue;
    const age = (now - past) / shown, [x, y] = at(poses[member].x, poses[member].y);
    pen.globalAlpha = clamp(1.2 - age, 0, 1); pen.font = "600 14px system-ui"; pen.textAlign = "center"; pen.textBaseline = "middle";
    outlined(pen, (change > 0 ? "+" : "−") + Math.abs(change).toFixed(0), x + 1.8 * unit, y - (0.5 + 2 * age) * unit, change > 0 ? "#8df0aa" : "#ff8a8a");
    pen.globalAlpha = 1;
  }
}

function outlined(pen, text, x, y, colour) {
  pen.lineWidth = 3; pen.strokeStyle = "rgba(10,12,15,.85)"; pen.strokeText(text, x, y);
  pen.fillStyle = colour; pen.fillText(text, x, y);
}

function drawCurve() {
  const [pen, width, height] = fit(element("curve")), episode = view.episode, all = [...episode.sums[0], ...episode.sums[1], 0];
  const low = Math.min(...all), high = Math.max(...all, low + 1e-6);
  const at = (frame, sum) => [frame / episode.steps * width, height - 5 - (sum - low) / (high - low) * (height - 10)];
  pen.clearRect(0, 0, width, height);
  pen.strokeStyle = "#2d333d"; pen.lineWidth = 1; pen.beginPath(); pen.moveTo(...at(0, 0)); pen.lineTo(...at(episode.steps, 0)); pen.stroke();
  for (const side of [OTHER, OWN]) {
    pen.strokeStyle = colourOf(side); pen.lineWidth = 1.6; pen.beginPath();
    for (let frame = 0; frame < episode.frames; frame++) pen.lineTo(...at(frame, episode.sums[side][frame]));
    pen.stroke();
  }
  pen.strokeStyle = "#ffffff"; pen.lineWidth = 1; pen.beginPath(); const [x] = at(now, 0); pen.moveTo(x, 0); pen.lineTo(x, height); pen.stroke();
}

// Number of the belief that the agents act on at a frame of the episode shown.
function momentAt(frame) { return view.episode.beliefSteps.findLastIndex(step => step <= frame); }

function drawMoments() {
  element("within").hidden = view.episode.beliefSteps.length < 2;
  if (element("within").hidden) return;
  const [pen, width, height] = fit(element("moments")), {beliefSteps, zMean, steps} = view.episode;
  const reach = Math.max(1, ...zMean.flat().map(Math.abs)), at = (frame, mean) => [frame / steps * width, height / 2 - mean / reach * (height / 2 - 4)];
  pen.clearRect(0, 0, width, height);
  pen.strokeStyle = "#2d333d"; pen.lineWidth = 1; pen.beginPath(); pen.moveTo(...at(0, 0)); pen.lineTo(...at(steps, 0)); pen.stroke();
  for (let latent = 0; latent < zMean[0].length; latent++) {
    pen.strokeStyle = `hsl(${360 * latent / zMean[0].length} 70% 65%)`; pen.lineWidth = 1.5; pen.beginPath();
    beliefSteps.forEach((step, moment) => { pen.lineTo(...at(step, zMean[moment][latent])); pen.lineTo(...at(beliefSteps[moment + 1] ?? steps, zMean[moment][latent])); });
    pen.stroke();
  }
  pen.strokeStyle = "#ffffff"; pen.lineWidth = 1; pen.beginPath(); const [x] = at(now, 0); pen.moveTo(x, 0); pen.lineTo(x, height); pen.stroke();
}

function drawBelief() {
  const count = match.episodes[0].zMean[0].length;
  element("belief").hidden = count === 0;
  if (!count) return;
  const [pen, width, height] = fit(element("latents")), reach = 3, foot = 16;
  const level = z => (height - foot) / 2 - clamp(z, -reach, reach) / reach * ((height - foot) / 2 - 4);
  pen.clearRect(0, 0, width, height);
  pen.strokeStyle = "#2d333d"; pen.lineWidth = 1; pen.beginPath(); pen.moveTo(0, level(0)); pen.lineTo(width, level(0)); pen.stroke();
  const space = width / count, gap = Math.min(14, space / (match.episodes.length + 1));
  pen.font = "11px system-ui"; pen.textAlign = "center"; pen.textBaseline = "bottom";
  for (let latent = 0; latent < count; latent++) {
    pen.fillStyle = "#98a1ae"; pen.fillText(`z${latent + 1}`, (latent + 0.5) * space, height);
    match.episodes.forEach((episode, number) => {
      const x = (latent + 0.5) * space + (number - (match.episodes.length - 1) / 2) * gap, moment = number === index ? momentAt(now) : 0;
      const mean = episode.zMean[moment][latent], std = episode.zStd[moment][latent];
      pen.strokeStyle = pen.fillStyle = number === index ? "#ffffff" : number < index ? "#5a6472" : "#3a424e"; pen.lineWidth = number === index ? 2.5 : 2;
      pen.beginPath(); pen.moveTo(x, level(mean - std)); pen.lineTo(x, level(mean + std)); pen.stroke();
      pen.beginPath(); pen.arc(x, level(mean), number === index ? 4 : 3, 0, 2 * Math.PI); pen.fill();
    });
  }
  drawMoments();
}

function agentCard(agent, frame, step) {
  const member = memberOf(agent), episode = view.episode, hitpoints = clamp(value("hitpoints", frame, member), 0, 100);
  const [move, rotate, chase, slot, focus] = episode.actions.slice((step * 2 * AGENTS + agent) * ACTION_WIDTH, (step * 2 * AGENTS + agent + 1) * ACTION_WIDTH);
  const signed = number => `<i style="left:${number < 0 ? 50 + 50 * number : 50}%;width:${50 * Math.abs(number)}%"></i>`;
  const items = match.loadouts[agent].map((item, place) => {
    const left = episode.cooldown[(frame * MEMBERS + member) * 3 + place], cast = slot === place + 1;
    return `<div class="item dim ${cast ? "cast" : ""}"><span>${item || "–"}</span><span>${cast ? "casts" : left > 0 ? (left / 60).toFixed(1) + " s" : ""}</span></div>`;
  }).join("");
  const sums = new Map();
  for (const [at, whose, bounty, amount] of episode.rewards) {
    if (at >= frame) break;
    if (whose === agent) sums.set(bounty, (sums.get(bounty) || 0) + amount);
  }
  const rewards = [...sums].map(([bounty, sum]) => `<div class="item dim"><span class="name">${match.bounties[bounty]}</span><span class="${sum < 0 ? "bad" : "good"}">${sum.toFixed(2)}</span></div>`).join("");
  return `<div class="agent" style="border-color:${colourOf(Math.floor(agent / AGENTS))}">
    <b>${member % PER_SIDE}</b> <span class="dim">${hitpoints > 0 ? hitpoints.toFixed(0) + " hitpoints" : "dead"}</span>
    <div class="bar" style="color:var(--good)"><i style="left:0;width:${hitpoints}%"></i></div>
    ${items}
    <div class="item dim"><span>move</span><span>${move.toFixed(2)}</span></div><div class="bar">${signed(move)}</div>
    <div class="item dim"><span>rotate</span><span>${rotate.toFixed(2)}</span></div><div class="bar">${signed(rotate)}</div>
    <div class="item dim"><span>chase focus</span><span>${chase.toFixed(2)}</span></div><div class="bar"><i style="left:0;width:${100 * chase}%"></i></div>
    <div class="item dim"><span>focus</span><span>${match.targets[focus]}</span></div>
    ${rewards}</div>`;
}

function drawPanels() {
  const episode = view.episode, frame = Math.min(Math.floor(now), episode.frames - 1), step = Math.min(frame, episode.steps - 1);
  const both = [OWN, OTHER].map(side => episode.sums[side][frame]);
  element("score").innerHTML = `<span class="own">${both[0].toFixed(2)}</span> <span class="dim">:</span> <span class="other">${both[1].toFixed(2)}</span>`;
  element("clock").textContent = `${(frame / RATE).toFixed(1)} / ${(episode.steps / RATE).toFixed(1)} s`;
  for (const [id, side] of [["ownAgents", OWN], ["otherAgents", OTHER]])
    element(id).innerHTML = [0, 1, 2].map(place => agentCard(side * AGENTS + place, frame, step)).join("");
}

function drawTable() {
  const rows = match.episodes.map((episode, number) => {
    const [own, other] = [episode.returns[OWN], episode.returns[OTHER]], result = own > other ? "won" : own < other ? "lost" : "tied";
    return `<tr class="${number === index ? "now" : "dim"}"><td>episode ${number}</td><td>${own.toFixed(2)}</td><td>${other.toFixed(2)}</td><td>${episode.kills[OWN]} : ${episode.kills[OTHER]}</td><td class="${result === "won" ? "good" : "bad"}">${result}</td></tr>`;
  });
  element("table").innerHTML = `<tr><th>at the end</th><th>own</th><th>other</th><th>kills</th><th></th></tr>${rows.join("")}`;
}

function draw(anew = true) {
  drawArena();
  const frame = Math.floor(now);
  if (!anew && frame === shownFrame) return;   // between two frames only the arena moves
  shownFrame = frame;
  element("scrub").value = frame;
  drawCurve(); drawPanels(); drawBelief();
}

function choose(number) {
  index = number; now = 0; view.episode = match.episodes[number];
  element("scrub").max = view.episode.steps;
  [...element("episodes").children].forEach((button, place) => button.setAttribute("aria-pressed", String(place === number)));
  drawTable(); draw();
}

function setPlaying(on) {
  playing = on; last = null;
  if (on && now >= view.episode.steps) now = 0;
  element("play").textContent = on ? "❚❚ pause" : "▶ play";
  if (on) requestAnimationFrame(advance);
}

function advance(time) {
  if (!playing) return;
  if (last !== null) now += (time - last) / 1000 * RATE * speed;
  last = time;
  if (now >= view.episode.steps) {
    now = view.episode.steps;
    if (index + 1 < match.episodes.length) choose(index + 1); else setPlaying(false);
  }
  draw(false);
  if (playing) requestAnimationFrame(advance);
}

function seek(frame) { now = clamp(Math.round(frame), 0, view.episode.steps); draw(); }

match.episodes.forEach((_, number) => {
  const button = document.createElement("button");
  button.textContent = String(number); button.onclick = () => choose(number); element("episodes").append(button);
});
for (const each of [0.5, 1, 2, 4]) {
  const button = document.createElement("button");
  button.textContent = `${each}×`; button.setAttribute("aria-pressed", String(each === speed));
  button.onclick = () => { speed = each; [...element("speeds").children].forEach(other => other.setAttribute("aria-pressed", String(other === button))); };
  element("speeds").append(button);
}
element("play").onclick = () => setPlaying(!playing);
element("scrub").oninput = event => { setPlaying(false); seek(Number(event.target.value)); };
for (const id of ["curve", "moments"]) element(id).onclick = event => seek(event.offsetX / element(id).clientWidth * view.episode.steps);
document.addEventListener("keydown", event => {
  if (event.target.tagName === "INPUT" && event.key.startsWith("Arrow")) return;
  if (event.key === " ") { event.preventDefault(); setPlaying(!playing); }
  else if (event.key === "ArrowRight") { setPlaying(false); seek(Math.floor(now) + 1); }
  else if (event.key === "ArrowLeft") { setPlaying(false); seek(Math.ceil(now) - 1); }
  else if (/^[1-9]$/.test(event.key) && Number(event.key) <= match.episodes.length) choose(Number(event.key) - 1);
});
window.addEventListener("resize", () => draw());
choose(0);
