/* Keeps the page of an issue up to date, and counts down by the server's clock. Syntax of 2015, for old phones. */
(function () {
  'use strict';
  var box = document.getElementById('issue'), status = document.getElementById('live');
  if (!box) return;
  var started = 0, source = null, answered = false;
  try { started = performance.getEntriesByType('navigation')[0].responseStart; } catch (e) { started = 0; }
  /* What this device's steady clock has to be added to, to be the server's time. */
  var ahead = Number(box.getAttribute('data-now')) - started;
  function now() { return performance.now() + ahead; }
  function say(on) { status.textContent = status.getAttribute(on ? 'data-on' : 'data-off'); }
  function two(n) { return (n < 10 ? '0' : '') + n; }
  function count() {
    var left = box.querySelector('[data-due]');
    if (!left) return;
    var span = Math.round((Number(left.getAttribute('data-due')) - now()) / 1000), abs = Math.abs(span);
    if (abs >= 86400) return;
    var text = (abs >= 3600 ? Math.floor(abs / 3600) + ':' : '') + two(Math.floor(abs % 3600 / 60)) + ':' + two(abs % 60);
    if (left.getAttribute('data-words') === null) left.setAttribute('data-words', left.textContent.split(' ')[0]);
    left.textContent = left.getAttribute('data-words') + ' ' + text;
  }
  function busy() {
    var at = document.activeElement;
    return at && box.contains(at) && (at.tagName === 'TEXTAREA' || at.tagName === 'INPUT');
  }
  function all(within, what) { return Array.prototype.slice.call(within.querySelectorAll(what)); }
  /* Shows what is new, and leaves what somebody has begun: text, choices, what is unfolded, the focus. */
  function swap(html) {
    var fresh = document.createElement('div'), at = document.activeElement, old = all(box, 'form'), folds = all(box, 'details');
    fresh.innerHTML = html;
    all(fresh, 'form').forEach(function (form) {
      var same = old.filter(function (each) { return each.getAttribute('action') === form.getAttribute('action'); })[0];
      if (!same) { form.classList.add('fresh'); return; }
      all(form, 'input[type=hidden]').forEach(function (each) {
        var mine = same.querySelector('input[type=hidden][name="' + each.name + '"]');
        if (mine && each.name !== 'key') mine.value = each.value;
      });
      form.parentNode.replaceChild(same, form);
    });
    all(fresh, 'details').forEach(function (each, n) { if (folds[n] && folds[n].open) each.open = true; });
    var focus = at && box.contains(at) ? all(box, at.tagName).indexOf(at) : -1;
    box.textContent = '';
    while (fresh.firstChild) box.appendChild(fresh.firstChild);
    if (focus >= 0) {
      if (!box.contains(at)) at = all(box, at.tagName)[focus] || box.querySelector('.button');
      if (at) at.focus({preventScroll: true});
    }
    count();
  }
  function connect() {
    if (source || document.hidden) return;
    source = new EventSource(box.getAttribute('data-live'));
    source.onopen = function () { answered = true; say(true); };
    source.onmessage = function (event) {
      /* Who is writing keeps what was written; the next change or the sending shows the rest. */
      if (!busy()) swap(event.data);
    };
    source.addEventListener('clock', function (event) { ahead = Date.parse(JSON.parse(event.data).at) - performance.now(); });
    source.onerror = function () {
      say(false);
      /* Refused for good: the page itself says why. A page that was refused at once must not load itself for ever. */
      if (source && source.readyState === 2 && answered) { location.reload(); }
    };
  }
  function close() { if (source) { source.close(); source = null; say(false); } }
  setInterval(count, 1000);
  count();
  if (!window.EventSource) {
    say(false);
    setInterval(function () { if (!document.hidden && !busy()) location.reload(); }, 15000);
    return;
  }
  document.addEventListener('visibilitychange', function () { if (document.hidden) close(); else connect(); });
  window.addEventListener('pagehide', close);
  connect();
})();
