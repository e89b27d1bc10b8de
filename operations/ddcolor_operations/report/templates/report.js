document.getElementById("language").addEventListener("click", () => {
  const page = document.documentElement;
  page.lang = page.lang === "zh" ? "en" : "zh";
});
