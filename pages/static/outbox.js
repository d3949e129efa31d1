/* The outbox: keeps forms and their photos on this device until the server has them, and sends each once. Syntax of 2017.
   How a form takes part, and what the server answers: pages/outbox.py. */
(function () {
  'use strict';
  var bar = document.getElementById('outbox');
  if (!bar || !window.fetch || !window.indexedDB) return;
  var FIRST = 3, LAST = 60, LARGEST = 1600, SECONDS = 30, SLOWEST = 2048;
  var opened = null, mine = {}, wait = FIRST, timer = 0, busy = false, again = false, current = '', shown = '', memory = null, halt = null;
  var meta = document.querySelector('meta[name=jiesu-token]');
  /* Who is signed in here now; '' if nobody is. */
  var owner = meta ? meta.getAttribute('data-subject') : '';
  function isOther(entry) { return entry.owner && entry.owner !== owner; }
  function say(name) { return bar.getAttribute('data-' + name) || ''; }
  function here() { return location.pathname + location.search; }

  /* The store. Photos are kept as bytes, since old WebKits lose blobs. */
  function store() {
    if (!opened) opened = new Promise(function (yes, no) {
      var asked = indexedDB.open('jiesu', 1);
      asked.onupgradeneeded = function () { asked.result.createObjectStore('outbox', { keyPath: 'key' }); };
      asked.onsuccess = function () { yes(asked.result); };
      asked.onerror = asked.onblocked = function () { no(asked.error); };
    });
    return opened;
  }
  /* A connection that the browser has closed meanwhile is opened anew, once. */
  async function using(mode, what, again) {
    try {
      var db = await store();
      return await new Promise(function (yes, no) {
        var change = db.transaction('outbox', mode), request = what(change.objectStore('outbox'));
        change.oncomplete = function () { yes(request.result); };
        change.onabort = change.onerror = function () { no(change.error); };
      });
    } catch (e) {
      opened = null;
      if (again) throw e;
      return using(mode, what, true);
    }
  }
  async function put(entry) {
    if (memory) memory[entry.key] = entry;
    else await using('readwrite', function (kept) { return kept.put(entry); });
  }
  /* Keeps what became of it, unless it was cancelled meanwhile, here or in another tab; says whether it is still there. */
  async function update(entry) {
    if (memory) return memory[entry.key];
    return using('readwrite', function (kept) {
      var asked = kept.get(entry.key);
      asked.onsuccess = function () { if (asked.result) kept.put(entry); };
      return asked;
    });
  }
  async function drop(key) {
    if (memory) delete memory[key];
    else await using('readwrite', function (kept) { return kept.delete(key); });
  }
  async function all() {
    var found = memory ? Object.values(memory) : await using('readonly', function (kept) { return kept.getAll(); });
    return found.sort(function (a, b) { return a.created - b.created; });
  }

  /* What a form holds. Its key is made before it is sent, so that sending it again is the same. */
  function random() {
    var bytes = crypto.getRandomValues(new Uint8Array(16)), text = '';
    bytes[6] = bytes[6] & 15 | 64; bytes[8] = bytes[8] & 63 | 128;
    bytes.forEach(function (each, n) {
      text += (n === 4 || n === 6 || n === 8 || n === 10 ? '-' : '') + (each < 16 ? '0' : '') + each.toString(16);
    });
    return text;
  }
  function keyOf(form) {
    var field = form.elements.namedItem('key'), named = /[?&]k=([^&]+)/.exec(form.getAttribute('action') || '');
    if (field && field.value) return field.value;
    if (named) return named[1];
    if (!form.getAttribute('data-key')) form.setAttribute('data-key', random());
    return form.getAttribute('data-key');
  }
  function pairsOf(form, button) {
    return Array.from(form.elements).filter(function (each) {
      var kind = each.type;
      if (!each.name || each.disabled || kind === 'file' || kind === 'fieldset') return false;
      if (kind === 'checkbox' || kind === 'radio') return each.checked;
      return kind !== 'submit' && kind !== 'button' || each === button;
    }).map(function (each) { return [each.name, each.value]; });
  }
  async function shrunk(file) {
    try {
      var image;
      try { image = await createImageBitmap(file, { imageOrientation: 'from-image' }); } catch (e) { image = await createImageBitmap(file); }
      var scale = Math.min(1, LARGEST / Math.max(image.width, image.height)), sheet = document.createElement('canvas');
      sheet.width = Math.round(image.width * scale); sheet.height = Math.round(image.height * scale);
      sheet.getContext('2d').drawImage(image, 0, 0, sheet.width, sheet.height);
      file = await new Promise(function (yes) { sheet.toBlob(function (made) { yes(made || file); }, 'image/jpeg', 0.85); });
    } catch (e) {
      /* Not drawn here: the server says what it thinks of it. */
    }
    return { type: file.type, data: await new Response(file).arrayBuffer() };
  }
  async function photosOf(form) {
    var found = [], inputs = form.querySelectorAll('input[type=file]');
    for (var n = 0; n < inputs.length; n++)
      for (var m = 0; m < inputs[n].files.length; m++) found.push(await shrunk(inputs[n].files[m]));
    return found;
  }
  async function take(form, button) {
    var to = form.getAttribute('action'), photos = form.getAttribute('data-photos') || '';
    var entry = {
      key: keyOf(form), subject: form.getAttribute('data-outbox'), owner: owner, to: to, from: here(),
      title: form.getAttribute('data-title') || (button ? button.textContent.trim() : ''),
      pairs: pairsOf(form, button), photos: await photosOf(form), photosTo: photos, only: photos === to,
      first: form.getAttribute('data-evidence') || '', digests: [], posted: false, then: '', created: Date.now(),
      state: 'waiting', why: ''
    };
    try { await put(entry); } catch (e) {
      /* No storage here. The browser sends the form as any other; photos, which it cannot, are sent from memory. */
      if (!entry.photos.length) throw e;
      memory = {};
      memory[entry.key] = entry;
    }
    mine[entry.key] = form;
    drain();
  }
  function lock(form, on) {
    form.setAttribute('aria-busy', on ? 'true' : 'false');
    form.querySelectorAll('button').forEach(function (each) { each.setAttribute('aria-disabled', on ? 'true' : 'false'); });
  }
  document.addEventListener('focusin', function (event) {
    var form = event.target.form;
    if (form && form.hasAttribute('data-outbox')) keyOf(form);
  });
  document.addEventListener('submit', function (event) {
    var form = event.target, button = event.submitter || document.activeElement;
    if (event.defaultPrevented || !form.hasAttribute('data-outbox')) return;
    event.preventDefault();
    if (form.getAttribute('aria-busy') === 'true') return;
    if (!button || button.form !== form || button.type !== 'submit') button = null;
    lock(form, true);
    take(form, button).catch(function () {
      if (button && button.name) {
        var field = document.createElement('input');
        field.type = 'hidden'; field.name = button.name; field.value = button.value;
        form.appendChild(field);
      }
      HTMLFormElement.prototype.submit.call(form);
    });
  });

  /* Sending. Only these answers end it; everything else is tried again. */
  async function post(to, body, headers) {
    var stop = halt = window.AbortController ? new AbortController() : null;
    var limit = stop && setTimeout(function () { stop.abort(); }, (SECONDS + (body.byteLength || 0) / SLOWEST) * 1000), answer, text = {};
    try {
      answer = await fetch(to, {
        method: 'POST', body: body, credentials: 'same-origin', signal: stop ? stop.signal : undefined,
        headers: Object.assign({ Accept: 'application/json' }, headers)
      });
      try { text = await answer.json(); } catch (e) { text = {}; }
    } finally { if (limit) clearTimeout(limit); }
    var status = answer.status, refused = [404, 409, 412, 413, 422].indexOf(status) >= 0;
    if (answer.ok) return text;
    throw { status: status, refused: refused, text: text, after: Number(answer.headers.get('Retry-After')) || 0 };
  }
  function because(text) { return text.reason || text.detail || text.title || ''; }
  function token(entry) { return (entry.pairs.find(function (each) { return each[0] === 'token'; }) || [])[1] || ''; }
  /* A photo that is refused is told of once those behind it are sent. A page of some network's own is no answer. */
  async function sendPhotos(entry) {
    while (entry.photos.length) {
      if (!await update(entry)) throw {};
      var photo = entry.photos[0];
      try {
        var kept = await post(entry.photosTo, photo.data, { 'Content-Type': photo.type || 'application/octet-stream', 'X-CSRF-Token': entry.photoToken || token(entry) });
        if (!kept.attachment) throw {};
        entry.digests.push(kept.attachment);
      } catch (problem) {
        if (!problem.refused || problem.status === 404) throw problem;
        entry.bad = problem;
      }
      entry.photos.shift();
    }
    if (entry.bad) throw entry.bad;
  }
  async function send(entry) {
    if (entry.owner) {
      entry.pairs.forEach(function (each) { if (each[0] === 'token') each[1] = meta.content; });
      if (entry.photoToken) entry.photoToken = meta.content;
    }
    current = entry.key;
    await show();
    if (entry.first || entry.only) await sendPhotos(entry);
    if (entry.first && entry.digests.length) {
      var named = entry.pairs.find(function (each) { return each[0] === entry.first; });
      if (!named) entry.pairs.push(named = [entry.first, '']);
      named[1] = (named[1] + ' ' + entry.digests.join(' ')).trim();
      entry.digests = [];
    }
    if (!await update(entry)) throw {};
    if (!entry.only && !entry.posted) {
      var body = entry.pairs.map(function (each) { return each.map(encodeURIComponent).join('='); }).join('&');
      var done = await post(entry.to, body, { 'Content-Type': 'application/x-www-form-urlencoded' });
      if (!done.to) throw {};
      entry.posted = true;
      entry.then = done.to;
      if (done.photos) { entry.photosTo = done.photos; entry.photoToken = done.token; }
      await update(entry);
    }
    await sendPhotos(entry);
  }
  /* The form goes on to the next page. Where there is none, where it went is kept until somebody has seen it. */
  async function sent(entry) {
    var at = new Date(), form = mine[entry.key], then = entry.then || entry.from;
    delete mine[entry.key];
    if (form && document.body.contains(form)) {
      await drop(entry.key);
      if (then === here()) location.reload(); else location.assign(then);
    } else if (entry.state !== 'sent') await put({
      key: entry.key, owner: entry.owner, title: entry.title.split('\n')[0], then: then, created: entry.created, state: 'sent',
      at: at.getHours() + ':' + ('0' + at.getMinutes()).slice(-2)
    });
  }
  async function refused(entry, problem, others) {
    var form = mine[entry.key];
    entry.state = 'refused';
    entry.why = because(problem.text) || (problem.text.errors || []).map(function (each) { return each.reason; }).join(' ');
    if (problem.text.to) entry.then = problem.text.to;
    delete mine[entry.key];
    await update(entry);
    if (!form || !document.body.contains(form)) return;
    /* The form itself was taken, only a photo of it was not: the next page says so. */
    if (entry.posted) { location.assign(entry.then); return; }
    lock(form, false);
    if (problem.text.version) { form.elements.version.value = problem.text.version; form.elements.key.value = random(); }
    faults(form, problem.text, entry);
    /* It is told at the form, where the words are; unless later ones of its issue wait for it. */
    if (!others) await drop(entry.key);
  }
  function faults(form, text, entry) {
    var old = form.querySelector('.faults'), box = document.createElement('div'), list = document.createElement('ul');
    if (old) old.remove();
    box.className = 'faults'; box.setAttribute('role', 'alert'); box.tabIndex = -1;
    var errors = (text.errors || [])[0] && text.errors;
    box.appendChild(document.createElement('h2')).textContent = say(errors ? 'fault' : 'refusal');
    (errors || [{ field: '', reason: entry.why }]).forEach(function (each) {
      var field = each.field && form.elements.namedItem(each.field), line = list.appendChild(document.createElement('li'));
      var link = field && field.id ? '#' + field.id : !each.field && text.to ? text.to : '';
      var part = link ? line.appendChild(document.createElement('a')) : line;
      if (link) part.href = link;
      each.reason.split(/(JS-[0-9A-Z]{5}-[0-9A-Z]{5})/).forEach(function (text, n) {
        var piece = part.appendChild(document.createElement('span'));
        piece.textContent = text;
        if (n % 2) piece.className = 'whole';
      });
    });
    box.appendChild(list);
    form.insertBefore(box, form.firstChild);
    box.focus();
  }
  async function round() {
    var entries = await all(), stopped = {};
    for (var n = 0; n < entries.length; n++) {
      var entry = entries[n], order = entry.subject + ' ' + entry.owner;
      if (entry.state === 'sent') continue;
      if (entry.state === 'refused' || isOther(entry)) {
        stopped[order] = true;
        if (isOther(entry) && entry.state !== 'refused') { entry.why = say(owner ? 'other' : 'sign-in'); await update(entry); }
      }
      if (stopped[order]) continue;
      try {
        await send(entry);
        current = '';
        await sent(entry);
        wait = FIRST;
      } catch (problem) {
        current = '';
        stopped[order] = true;
        if (problem && problem.refused) {
          await refused(entry, problem, entries.slice(n + 1).some(function (each) { return each.subject + ' ' + each.owner === order; }));
          continue;
        }
        entry.state = 'waiting';
        entry.why = !problem || !problem.status ? '' : problem.status === 401 && entry.owner ? say('sign-in') : because(problem.text);
        await update(entry);
        if (problem && problem.after) wait = Math.max(wait, Math.min(problem.after, LAST));
        if (!problem || !problem.status) break;
      }
    }
  }
  async function drain() {
    if (busy) { again = true; return; }
    busy = true;
    clearTimeout(timer);
    try {
      /* With several tabs one sends at a time; where there are no locks, the keys make two of them harmless. */
      if (navigator.locks) await navigator.locks.request('jiesu-outbox', { ifAvailable: true }, function (got) { return got && round(); });
      else await round();
      var left = await all();
      if (left.some(function (each) { return each.state === 'waiting'; })) {
        timer = setTimeout(drain, wait * 1000 * (0.75 + Math.random() / 2));
        wait = Math.min(wait * 2, LAST);
      }
      await show();
    } catch (e) {
      /* Storage is forbidden, or was closed for a while. */
      timer = setTimeout(drain, LAST * 1000);
    }
    busy = false;
    if (again) { again = false; drain(); }
  }
  function soon() { wait = FIRST; drain(); }

  /* What waits, on the top of every page. */
  function part(kind, text, into) { var made = document.createElement(kind); made.textContent = text; into.appendChild(made); return made; }
  function button(name, into, act) {
    var made = part('button', say(name), into);
    made.type = 'button'; made.className = 'button';
    made.addEventListener('click', act);
  }
  /* What was written is shown where it was refused, so that nobody has to write it again. */
  function words(entry) {
    return entry.pairs.filter(function (each) { return each[0] !== 'token' && each[0] !== 'key'; })
      .map(function (each) { return each[1]; }).reduce(function (a, b) { return b.length > a.length ? b : a; }, '');
  }
  function line(entry, list) {
    var item = part('li', '', list), state = entry.key === current ? 'sending' : entry.state, done = state === 'sent' || state === 'refused';
    part('b', entry.title + ' ', item);
    part('span', say(state) + ' ' + (entry.at || '') + ' ', item);
    if (entry.why) part(entry.why === say('sign-in') ? 'a' : 'span', entry.why, item).href = '/sign-in?next=' + encodeURIComponent(entry.from);
    if (entry.then) {
      var open = part('a', say('open'), item);
      open.href = entry.then;
      open.addEventListener('click', function () { if (state === 'sent') drop(entry.key); });
    }
    if (state === 'refused' && !entry.posted && !isOther(entry)) part('p', words(entry), item).className = 'words';
    var buttons = part('p', '', item);
    if (done) button('drop', buttons, function () { drop(entry.key).then(soon); });
    else {
      button('again', buttons, soon);
      button('cancel', buttons, function () { drop(entry.key).then(function () {
        if (entry.key === current && halt) halt.abort();
        if (mine[entry.key]) lock(mine[entry.key], false);
        delete mine[entry.key];
        soon();
      }); });
    }
  }
  async function show() {
    var entries = await all();
    /* Another tab has done with what a form of this page waits for. */
    Object.keys(mine).forEach(function (key) {
      var entry = entries.find(function (each) { return each.key === key; });
      if (entry && entry.state === 'waiting') return;
      if (entry && entry.state === 'sent') { sent(entry); return; }
      lock(mine[key], false);
      delete mine[key];
    });
    var list = document.createElement('ul');
    var waits = entries.filter(function (each) { return each.state === 'waiting'; }).length;
    entries.forEach(function (each) { if (each.state !== 'sent' || !isOther(each)) line(each, list); });
    if (shown === list.textContent + waits) return;
    shown = list.textContent + waits;
    bar.textContent = '';
    bar.hidden = !list.firstChild;
    if (waits) { part('h2', say('unsent') + ' ' + waits, bar); if (!memory) part('p', say('time'), bar).className = 'soft'; }
    bar.appendChild(list);
  }
  /* What only scripts can do, such as photos. */
  document.querySelectorAll('.scripted').forEach(function (each) { each.hidden = false; });
  window.addEventListener('online', soon);
  window.addEventListener('pageshow', soon);
  document.addEventListener('visibilitychange', function () { if (!document.hidden) soon(); });
  soon();
})();
