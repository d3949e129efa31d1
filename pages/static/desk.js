/* Keys for who works at a desk: j and k go from issue to issue, Enter opens, x ticks. Syntax of 2015. */
(function () {
  'use strict';
  var links = Array.prototype.slice.call(document.querySelectorAll('.rows a.whole'));
  var hint = document.querySelector('.keys');
  if (!links.length) return;
  if (hint) hint.hidden = false;
  function row(at) { while (at && at.nodeName !== 'TR') at = at.parentNode; return at; }
  document.addEventListener('keydown', function (event) {
    var at = document.activeElement, tag = at ? at.tagName : '';
    if (event.ctrlKey || event.altKey || event.metaKey || tag === 'TEXTAREA' || tag === 'SELECT') return;
    if (tag === 'INPUT' && at.type !== 'checkbox') return;
    var here = row(at), n = -1;
    for (var i = 0; i < links.length; i += 1) if (row(links[i]) === here) n = i;
    if (event.key === 'j' || event.key === 'k') {
      n = event.key === 'j' ? Math.min(n + 1, links.length - 1) : Math.max(n - 1, 0);
      links[n].focus();
      event.preventDefault();
    } else if (event.key === 'x' && here) {
      var box = here.querySelector('input[type=checkbox]');
      if (box) box.checked = !box.checked;
    }
  });
})();
