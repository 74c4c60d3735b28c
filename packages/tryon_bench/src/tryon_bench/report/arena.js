"use strict";
const content = JSON.parse(document.getElementById("duels").textContent);
const store = "tryon-bench-votes-" + content.id;
const byId = (name) => document.getElementById(name);
let votes = [];
try {
  votes = JSON.parse(localStorage.getItem(store)) || [];
} catch (error) {
  // a page opened from a file may have no storage: votes then last as long as the page
}

function keep() {
  try {
    localStorage.setItem(store, JSON.stringify(votes));
  } catch (error) {
    byId("export").textContent = "export votes (this browser does not keep them)";
  }
}

function show() {
  const done = votes.length >= content.duels.length;
  byId("arena").hidden = done;
  byId("progress").textContent = done ? `All ${votes.length} votes are in; export them.` : `${votes.length} of ${content.duels.length}`;
  if (done) return;
  const duel = content.duels[votes.length];
  byId("photo").src = content.pictures[duel.photo];
  byId("garment").src = content.pictures[duel.garment];
  byId("left").src = content.pictures[duel.left];
  byId("right").src = content.pictures[duel.right];
}

function vote(choice) {
  if (votes.length >= content.duels.length) return;
  votes.push({ duel: content.duels[votes.length].id, choice: choice });
  keep();
  show();
}

byId("vote-left").addEventListener("click", () => vote("left"));
byId("vote-right").addEventListener("click", () => vote("right"));
byId("vote-tie").addEventListener("click", () => vote("tie"));
byId("undo").addEventListener("click", () => {
  votes.pop();
  keep();
  show();
});
document.addEventListener("keydown", (event) => {
  const choice = { ArrowLeft: "left", ArrowRight: "right", " ": "tie" }[event.key];
  // space on a button presses the button
  if (choice && !(choice === "tie" && event.target.tagName === "BUTTON")) {
    event.preventDefault();
    vote(choice);
  }
});
byId("export").addEventListener("click", () => {
  const text = JSON.stringify({ arena: content.id, votes: votes });
  const link = document.createElement("a");
  link.href = "data:application/json;charset=utf-8," + encodeURIComponent(text);
  link.download = `votes-${content.id}.json`;
  link.click();
});
show();
