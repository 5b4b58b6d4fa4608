// Runs before the first paint, so that a chosen theme never flashes. A classic script: modules are deferred.
(() => {
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is refused in some private modes: the system's preference stays.
  }
})();
