/* Shows the form of a report step by step, suggests a category, and has the answers checked. Syntax of 2017. */
(function () {
  'use strict';
  var form = document.getElementById('report');
  if (!form) return;
  var steps = Array.from(form.querySelectorAll('.step')), check = document.getElementById('check'), go = document.getElementById('go');
  var similar = document.getElementById('similar'), category = form.elements.category, hint = document.getElementById('category-hint');
  var guess = '', chosen = false, unguessed = hint.textContent, at = 0, asked = '';
  function say(name) { return form.getAttribute('data-' + name); }
  function part(kind, text, into) { var made = document.createElement(kind); made.textContent = text; into.appendChild(made); return made; }

  /* The category with most words in the text. It is only suggested: once somebody has chosen, it stays. */
  function suggest() {
    if (chosen || category.value && category.value !== guess) return;
    var text = form.elements.description.value, most = 0, found = '';
    Array.from(category.options).forEach(function (option) {
      var count = (option.getAttribute('data-words') || '').split(' ').reduce(function (sum, word) {
        return sum + (word ? text.split(word).length - 1 : 0);
      }, 0);
      if (count > most) { most = count; found = option.value; }
    });
    guess = category.value = found;
    hint.textContent = found ? hint.getAttribute('data-guessed') : unguessed;
  }
  form.elements.description.addEventListener('input', suggest);
  category.addEventListener('change', function () { chosen = true; hint.textContent = unguessed; });

  function answers() {
    var list = check.querySelector('dl');
    list.textContent = '';
    Array.from(form.elements).forEach(function (field) {
      var label = field.labels && field.labels[0], value = field.value;
      if (!label || !value && field !== category) return;
      if (field.type === 'checkbox') { if (!field.checked) return; value = say('yes'); }
      if (field.type === 'file') value = String(field.files.length);
      if (field.tagName === 'SELECT') value = field.selectedOptions[0].textContent;
      part('dt', label.textContent.trim(), list);
      part('dd', value, list).className = 'words';
    });
  }
  /* Neighbours' open issues of this place and category. Without a network nothing is shown, and nothing waits for it. */
  function ask() {
    var what = ['compound', 'building', 'category'].map(function (name) {
      return '&' + name + '=' + encodeURIComponent(form.elements[name].value);
    }).join('');
    if (what === asked) return;
    asked = what;
    similar.textContent = '';
    fetch(say('similar') + what, { credentials: 'same-origin' }).then(function (answer) { return answer.ok ? answer.text() : ''; })
      .then(function (html) { if (what === asked) similar.innerHTML = html; }).catch(function () { asked = ''; });
  }
  function show(step, focus) {
    at = step;
    var isLast = step === steps.length;
    steps.forEach(function (each, n) { each.hidden = n !== step; });
    check.hidden = similar.hidden = !isLast;
    go.textContent = isLast ? say('send') : say('next');
    back.hidden = step === 0;
    if (isLast) { answers(); ask(); }
    if (!focus) return;
    var head = isLast ? check.querySelector('h2') : steps[step].querySelector('legend');
    head.tabIndex = -1;
    head.focus();
    scrollTo(0, 0);
  }
  function valid(step) {
    return Array.from(steps[step].elements || steps[step].querySelectorAll('input,select,textarea')).every(function (each) {
      return !each.willValidate || each.checkValidity() || (each.reportValidity && each.reportValidity(), false);
    });
  }
  /* The step lies in the address, so that Back goes one step back. */
  function turn() {
    var hash = location.hash.slice(1), named = hash && document.getElementById(hash), step = named ? steps.findIndex(function (each) { return each.contains(named); }) : -1;
    if (step >= 0) { show(step); named.focus(); return; }
    step = Number((/^step(\d)$/.exec(hash) || [])[1] || 1) - 1;
    for (var n = 0; n < step; n++) if (!form.elements.compound.value || n === 1 && !form.elements.description.value) step = Math.min(step, n);
    show(Math.min(step, steps.length), true);
  }
  var back = part('button', say('back'), go.parentNode);
  back.type = 'button';
  back.className = 'button';
  back.addEventListener('click', function () { history.back(); });
  form.elements.step.value = 'send';
  form.noValidate = true;
  form.addEventListener('submit', function (event) {
    if (at === steps.length) return;
    event.preventDefault();
    var to = '#step' + (at + 2);
    if (!valid(at)) return;
    if (location.hash === to) turn(); else location.hash = to;
  }, true);
  window.addEventListener('hashchange', turn);
  var first = form.querySelector('.faults a');
  if (location.hash || !first) show(0);
  /* Back brings the words only once the page has loaded: which step can be shown depends on them. */
  if (location.hash) window.addEventListener('pageshow', turn);
  else if (first) { location.hash = first.getAttribute('href'); }
})();
