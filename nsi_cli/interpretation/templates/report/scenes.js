// Point at an object, a peak or a slot: its mask lights up on the image. A click keeps it.
for (const card of document.querySelectorAll(".card")) {
  const look = card.querySelector(".look");
  const linked = card.querySelectorAll("[data-slot]");
  let held = null;
  const show = (slot) => {
    look.classList.toggle("lit", slot !== null);
    if (slot !== null) look.style.setProperty("--lit", `var(--m${slot})`);
    for (const part of linked) {
      const same = part.dataset.slot === slot;
      if (part.matches("tr")) part.classList.toggle("on-row", same);
      else part.classList.toggle(part.matches("figure") ? "on-slot" : "on", same);
    }
  };
  for (const part of linked) {
    const slot = part.dataset.slot;
    const hold = () => { held = held === slot ? null : slot; show(held); };
    part.addEventListener("pointerenter", () => show(slot));
    part.addEventListener("pointerleave", () => show(held));
    part.addEventListener("focus", () => show(slot));
    part.addEventListener("blur", () => show(held));
    part.addEventListener("click", hold);
    part.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); hold(); }
      if (event.key === "Escape") { held = null; show(null); }
    });
  }
}
for (const button of document.querySelectorAll("[data-kind]")) {
  button.addEventListener("click", () => {
    document.documentElement.dataset.masks = button.dataset.kind;
    for (const other of document.querySelectorAll("[data-kind]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
  });
}
const opacity = document.getElementById("opacity");
opacity.addEventListener("input", () => {
  document.documentElement.style.setProperty("--opacity", String(opacity.value / 100));
});
