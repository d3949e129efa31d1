/* Keeps a part of a page up to date, and counts down by the server's clock. Syntax of 2015, for old phones. */
(function () {
  'use strict';
  var box = document.getElementById('issue'), status = document.getElementById('live');
  if (!box) return;
  var started = 0, source = null, waiting = null;
  try { started = performance.getEntriesByType('navigation')[0].responseStart; } catch (e) { started = 0; }
  /* What this device's steady clock has to be added to, to be the server's time. */
  var ahead = Number(box.getAttribute('data-now')) - started;
  /* When the server made what is shown. */
  var drawn = Number(box.getAttribute('data-now')), heard = 0;
  function now() { return performance.now() + ahead; }
  function say(on) {
    var words = status && status.getAttribute(on ? 'data-on' : 'data-off');
    if (status && status.textContent !== words) status.textContent = words;
  }
  function two(n) { return (n < 10 ? '0' : '') + n; }
  function count() {
    all(box, '[data-due]').forEach(countOne);
  }
  /* Once the time is up it stays at nothing until the server says that it is: only then do the words and the light change. */
  function countOne(left) {
    var due = Number(left.getAttribute('data-due')), span = Math.round((due - now()) / 1000);
    if (Math.abs(span) >= 86400) return;
    if (left.getAttribute('data-late') === null) left.setAttribute('data-late', due < drawn ? '1' : '');
    var abs = Math.max(0, left.getAttribute('data-late') ? -span : span);
    var text = (abs >= 3600 ? Math.floor(abs / 3600) + ':' : '') + two(Math.floor(abs % 3600 / 60)) + ':' + two(abs % 60);
    if (left.getAttribute('data-words') === null) left.setAttribute('data-words', left.textContent.split(' ')[0]);
    left.textContent = left.getAttribute('data-words') + ' ' + text;
  }
  function busy() {
    var at = document.activeElement;
    return at && box.contains(at) && (at.tagName === 'TEXTAREA' || at.tagName === 'INPUT' || at.tagName === 'SELECT');
  }
  function all(within, what) { return Array.prototype.slice.call(within.querySelectorAll(what)); }
  /* Shows what is new, and leaves what somebody has begun: text, choices, what is unfolded, the focus. */
  function swap(fresh) {
    var at = document.activeElement, old = all(box, 'form'), folds = all(box, 'details');
    all(fresh, 'form').forEach(function (form) {
      var same = old.filter(function (each) { return each.getAttribute('action') === form.getAttribute('action'); })[0];
      if (!same) { form.classList.add('fresh'); return; }
      all(form, 'input[type=hidden]').forEach(function (each) {
        var mine = same.querySelector('input[type=hidden][name="' + each.name + '"]');
        if (mine && each.name !== 'key') mine.value = each.value;
      });
      form.parentNode.replaceChild(same, form);
    });
    all(fresh, 'details').forEach(function (each, n) {
      var was = each.id ? document.getElementById(each.id) : folds[n];
      if (was && was.open) each.open = true;
    });
    /* What was asked for, such as a phone number, stays. */
    all(box, '[data-keep]').forEach(function (each) {
      var same = fresh.querySelector('#' + each.id);
      if (same) same.parentNode.replaceChild(each, same);
    });
    var focus = at && box.contains(at) ? all(box, at.tagName).indexOf(at) : -1;
    box.textContent = '';
    while (fresh.firstChild) box.appendChild(fresh.firstChild);
    if (focus >= 0) {
      if (!box.contains(at)) at = box.querySelector('[data-next]') || all(box, at.tagName)[focus] || box.querySelector('.button');
      if (at) at.focus({preventScroll: true});
    }
    count();
  }
  /* When the stream has last told anything, and whether it has at all: that it is open means little behind a proxy that holds back. */
  var told = 0, isLive = false;
  function hear() { told = performance.now(); if (!isLive) say(true); isLive = true; }
  function connect() {
    if (source || document.hidden || !box.getAttribute('data-live')) return;
    source = new EventSource(box.getAttribute('data-live'));
    told = performance.now();
    source.onmessage = function (event) { waiting = event.data; heard = now(); hear(); take(); };
    source.addEventListener('clock', function (event) { ahead = Date.parse(JSON.parse(event.data).at) - performance.now(); hear(); });
    source.onerror = function () {
      say(false);
      told = performance.now();
      isLive = false;
      if (!source || source.readyState !== 2) return;
      /* Refused for good, or only by a proxy whose server starts anew? The page itself knows, and says why it is refused. */
      source = null;
      ask();
      setTimeout(connect, 15000);
    };
  }
  /* A stream that is silent for too long: the page itself is asked for, and a new stream. */
  function watch() {
    if (!source) return;
    var quiet = performance.now() - told;
    if (quiet > 3000 && !isLive) say(false);
    if (quiet < (isLive ? 30000 : 15000)) return;
    close();
    ask();
    connect();
  }
  /* Asks for the page, and shows what is new of it. Who may not see it any more is told why by loading it. */
  function ask() {
    if (document.hidden) return;
    if (!window.fetch || !window.DOMParser) { if (!busy()) location.reload(); return; }
    fetch(location.href, {credentials: 'same-origin'}).then(function (answer) {
      if (answer.redirected || [401, 403, 404].indexOf(answer.status) >= 0) location.reload();
      return answer.ok && answer.text();
    }).then(function (html) {
      var fresh = html && new DOMParser().parseFromString(html, 'text/html').getElementById('issue');
      if (!fresh || Number(fresh.getAttribute('data-now')) < drawn) return;
      heard = Number(fresh.getAttribute('data-now'));
      waiting = fresh.innerHTML;
      take();
    }).catch(function () {});
  }
  /* Words in a form that is offered no more would go with it. */
  function loses(fresh) {
    return all(box, 'form').some(function (form) {
      return all(form, 'textarea').some(function (each) { return each.value !== each.defaultValue; }) &&
        !all(fresh, 'form').some(function (each) { return each.getAttribute('action') === form.getAttribute('action'); });
    });
  }
  /* Who is writing keeps what was written; the newest is shown once nobody is. */
  function take() {
    if (waiting === null || busy()) return;
    var fresh = document.createElement('div');
    fresh.innerHTML = waiting;
    if (loses(fresh)) { if (status) status.textContent = status.getAttribute('data-held'); return; }
    waiting = null;
    drawn = heard;
    if (isLive) say(true);
    swap(fresh);
  }
  function close() { if (source) { source.close(); source = null; isLive = false; say(false); } }
  setInterval(function () { count(); take(); watch(); }, 1000);
  count();
  /* After a command the keyboard is at the next one, once that may be pressed. */
  var next = box.querySelector('[data-next]');
  if (next && /[?&]given=/.test(location.search)) {
    setTimeout(function () { if (document.activeElement === document.body) next.focus(); }, 1000);
  }
  if (!box.getAttribute('data-live')) {
    /* Steady clocks stand still while a phone sleeps, and no stream tells the time here. */
    document.addEventListener('visibilitychange', function () {
      if (document.hidden) all(box, '[data-due]').forEach(function (left) { left.textContent = ''; left.removeAttribute('data-due'); });
    });
    return;
  }
  if (!window.EventSource) {
    say(false);
    setInterval(ask, 15000);
    return;
  }
  document.addEventListener('visibilitychange', function () { if (document.hidden) close(); else connect(); });
  window.addEventListener('pagehide', close);
  connect();
})();
