// An address that ends in #token=... signs in by itself; the token leaves the address bar and the history at once.

function take() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return;
  history.replaceState(null, "", location.pathname);
  document.getElementById("token").value = given;
  document.getElementById("sign-in").requestSubmit();
}

window.addEventListener("hashchange", take);
take();
