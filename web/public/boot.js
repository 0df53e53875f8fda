// Runs before the first paint, so that neither the colours nor the direction of the page change under the
// reader's eyes. A file of its own rather than inline, so that the content security policy needs no exception.
(function () {
  var root = document.documentElement;
  var read = function (key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  };
  var language = read('sotto.language') || ((navigator.language || '').slice(0, 2) === 'fa' ? 'fa' : 'en');
  root.lang = language;
  root.dir = language === 'fa' ? 'rtl' : 'ltr';
  var theme = read('sotto.theme');
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
})();
