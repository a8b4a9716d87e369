// What the theme leaves out for those who use a keyboard or a screen reader.
document.addEventListener("DOMContentLoaded", () => {
  for (const each of document.querySelectorAll("pre, .table-wrapper")) each.tabIndex = 0;
  const chinese = document.documentElement.lang.startsWith("zh");
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", chinese ? "全部页面" : "All pages");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", chinese ? "本页内容" : "On this page");
  const article = document.querySelector("article");
  if (article && !document.querySelector("h1")) {
    article.prepend(Object.assign(document.createElement("h1"), {textContent: chinese ? "搜索" : "Search"}));
  }
});
