"use strict";
{
  const form = document.getElementById("filter");
  const { true_label: trueLabel, given_label: givenLabel, words, wrong } = form.elements;
  const count = document.getElementById("count");
  const nothing = document.getElementById("nothing");
  const cards = Array.from(document.querySelectorAll(".card"), (card) => ({
    card,
    // The labels are on every card, so only strangers' texts are searched.
    text: Array.from(card.querySelectorAll(".text"), (part) => part.textContent).join("\n").toLowerCase(),
  }));

  const apply = () => {
    const wanted = words.value.trim().toLowerCase();
    let shown = 0;
    for (const { card, text } of cards) {
      const { true: isTrue, given } = card.dataset;
      card.hidden =
        (trueLabel.value !== "" && trueLabel.value !== isTrue) ||
        (givenLabel.value !== "" && givenLabel.value !== given) ||
        (wrong.checked && isTrue === given) ||
        !text.includes(wanted);
      shown += card.hidden ? 0 : 1;
    }
    count.textContent = `Showing ${shown} of the ${cards.length} rows in this file`;
    nothing.hidden = shown > 0;
  };

  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("all").addEventListener("click", () => {
    form.reset();
    apply();
  });
  for (const cell of document.querySelectorAll(".confusion a")) {
    cell.addEventListener("click", (event) => {
      event.preventDefault();
      form.reset();
      trueLabel.value = cell.dataset.true;
      givenLabel.value = cell.dataset.given;
      apply();
      form.scrollIntoView();
      count.focus({ preventScroll: true });
    });
  }
  form.hidden = false;
  apply();
}
