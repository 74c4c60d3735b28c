"use strict";
for (const table of document.querySelectorAll("table.leaderboard")) {
  table.querySelectorAll("thead th[aria-sort]").forEach((head, index) => {
    head.querySelector("button").addEventListener("click", () => {
      const best = head.dataset.higher === "1" ? "descending" : "ascending";
      const other = best === "descending" ? "ascending" : "descending";
      const order = head.getAttribute("aria-sort") === best ? other : best;
      table.querySelectorAll("thead th[aria-sort]").forEach((th) => th.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", order);
      const body = table.tBodies[0];
      const value = (row) => row.cells[index + 1].dataset.value;
      const rows = [...body.rows].sort((a, b) => {
        const x = value(a), y = value(b);
        if (x === "" || y === "") return (x === "") - (y === ""); // undefined stays last either way
        return order === "ascending" ? x - y : y - x;
      });
      body.append(...rows);
    });
  });
}

const cases = JSON.parse(document.getElementById("gallery-data").textContent);
const filters = ["method", "metric", "region"].map((name) => [name, document.getElementById("filter-" + name)]);

function picture(source, caption) {
  const figure = document.createElement("figure");
  if (source) {
    const image = document.createElement("img");
    image.src = source;
    image.alt = caption;
    image.loading = "lazy";
    figure.append(image);
  } else {
    figure.append("cannot be read");
  }
  const text = document.createElement("figcaption");
  text.textContent = caption;
  figure.append(text);
  return figure;
}

function article(entry, reasons) {
  const box = document.createElement("article");
  box.className = "case";
  const title = document.createElement("h3");
  title.textContent = entry.pair;
  const list = document.createElement("ul");
  for (const reason of reasons.slice(0, 4)) {
    const item = document.createElement("li");
    item.textContent = `${reason.method}: ${reason.metric}, ${reason.region} = ${reason.value}`;
    list.append(item);
  }
  if (reasons.length > 4) {
    const rest = document.createElement("li");
    rest.textContent = `and ${reasons.length - 4} more; filter to see which`;
    list.append(rest);
  }
  const strip = document.createElement("div");
  strip.className = "strip";
  strip.append(picture(entry.pictures["photo"], "photo"), picture(entry.pictures["garment"], "garment"));
  for (const method of entry.methods) {
    strip.append(
      picture(entry.pictures["method:" + method], method),
      picture(entry.pictures["difference:" + method], method + ", difference"),
      picture(entry.pictures["map:" + method], method + ", 1 - SSIM"),
    );
  }
  box.append(title, list, strip);
  return box;
}

function show() {
  const wanted = filters.filter(([, select]) => select.value !== "");
  const found = [];
  for (const entry of cases) {
    const reasons = entry.reasons.filter((reason) => wanted.every(([name, select]) => reason[name] === select.value));
    if (reasons.length) found.push(article(entry, reasons));
  }
  document.getElementById("gallery").replaceChildren(...found);
  document.getElementById("shown").textContent = `${found.length} of ${cases.length} pairs`;
}

filters.forEach(([, select]) => select.addEventListener("change", show));
show();
