/* theme.ts - applies the chosen theme before the first paint.
 *
 * A classic script in the head, so that a reader who chose "dark" never sees a light flash. Without a choice
 * the attribute stays away and the style sheet follows the system.
 */
(function applyTheme() {
    try {
        const chosen = localStorage.getItem('starling.theme');
        if (chosen === 'dark' || chosen === 'light') {
            document.documentElement.dataset.theme = chosen;
        }
    } catch {
        /* Storage may be forbidden; the system's preference stands then. */
    }
})();
