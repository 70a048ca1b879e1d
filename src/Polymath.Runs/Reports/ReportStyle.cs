namespace Polymath.Runs.Reports;

/// <summary>The style of the page.</summary>
internal static class ReportStyle
{
    /// <summary>The style sheet; <c>k0</c> is the colour of the start, <c>k1</c> to <c>k6</c> are the colours of the stages.</summary>
    public const string Sheet = """
        :root { --page:#faf8f4; --card:#fff; --ink:#1d2126; --soft:#666b73; --line:#e4dfd5; --good:#147a42; --bad:#b3261e; --accent:#8a3324;
          --c0:#a8a498; --c1:#2f6db3; --c2:#c9722b; --c3:#3d8a63; --c4:#8d57a8; --c5:#b0486a; --c6:#6f7f1f; color-scheme:light dark; }
        @media (prefers-color-scheme: dark) { :root { --page:#15171b; --card:#1e2126; --ink:#e8e6e1; --soft:#a0a4ab; --line:#343940;
          --good:#5cc98a; --bad:#ff8a7d;
          --accent:#e3a08f; --c0:#7d7b74; --c1:#74aaf0; --c2:#eda268; --c3:#6fc79a; --c4:#c394e0; --c5:#ec8dab; --c6:#bccb62; } }
        * { box-sizing:border-box; }
        body { margin:0; background:var(--page); color:var(--ink);
          font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"PingFang SC","Noto Sans CJK SC","Microsoft YaHei",sans-serif; }
        header,main { max-width:1120px; margin:0 auto; padding:0 20px; }
        header { padding-top:44px; }
        .eyebrow { margin:0; color:var(--accent); font-size:13px; letter-spacing:.08em; text-transform:uppercase; }
        h1 { margin:.1em 0 .15em; font:600 clamp(30px,6vw,46px)/1.15 Georgia,"Songti SC","Noto Serif CJK SC",serif;
          overflow-wrap:anywhere; }
        h2 { margin:0 0 16px; font:600 23px/1.3 Georgia,"Songti SC","Noto Serif CJK SC",serif; }
        h3 { margin:0; font-size:14px; font-weight:600; color:var(--soft); overflow-wrap:anywhere; }
        p { margin:.4em 0; }
        .lead { max-width:70ch; margin:0; font-size:18px; color:var(--soft); }
        .facts { display:flex; flex-wrap:wrap; gap:4px 22px; margin:14px 0 0; padding:0; list-style:none; font-size:14px;
          color:var(--soft); }
        section { margin:38px 0; }
        .cards,.charts,.samples { display:grid; gap:16px; grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr)); }
        .cards { grid-template-columns:repeat(auto-fit,minmax(min(100%,190px),1fr)); }
        .charts.wide { align-items:start; grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr)); }
        .card,figure,.samples article { margin:0; padding:16px 18px; background:var(--card); border:1px solid var(--line);
          border-radius:10px; min-width:0; }
        .card p { margin:2px 0 0; font-size:14px; color:var(--soft); }
        .card .big { margin:2px 0 6px; font:600 36px/1.15 Georgia,serif; color:var(--ink); font-variant-numeric:lining-nums tabular-nums; }
        .good { color:var(--good); } .bad { color:var(--bad); }
        .none,.note { color:var(--soft); font-size:14px; }
        figcaption { font-weight:600; overflow-wrap:anywhere; }
        figcaption small { margin-left:8px; font-weight:400; color:var(--soft); }
        svg { display:block; width:100%; max-width:560px; height:auto; margin-top:8px; overflow:visible; font-size:12px; }
        .tick,.name { fill:var(--soft); } .value { fill:var(--ink); font-weight:600; }
        .grid { stroke:var(--line); stroke-width:1; }
        .reference { stroke:var(--ink); stroke-width:1.5; stroke-dasharray:5 4; opacity:.65; }
        .k0 { --k:var(--c0); } .k1 { --k:var(--c1); } .k2 { --k:var(--c2); } .k3 { --k:var(--c3); } .k4 { --k:var(--c4); }
          .k5 { --k:var(--c5); } .k6 { --k:var(--c6); }
        path { fill:none; stroke:var(--k,var(--c1)); stroke-linecap:round; stroke-linejoin:round; }
        .bold { stroke-width:2.2; } .thin { stroke-width:1.2; opacity:.45; }
        .held { stroke-width:1.6; stroke-dasharray:5 4; }
        circle.dots { fill:var(--card); stroke:var(--k,var(--c1)); stroke-width:2.2; }
        .bar { fill:var(--k,var(--c1)); }
        .key { display:flex; align-items:center; gap:8px; margin:2px 0 0; font-size:13px; color:var(--soft); }
        .key i,.dash { flex:none; display:inline-block; width:20px; border-top:2px dashed var(--soft); vertical-align:middle; }
        .dash { width:10px; margin-right:8px; }
        .dot { display:inline-block; width:10px; height:10px; margin-right:8px; border-radius:50%; background:var(--k); }
        .scroll { overflow-x:auto; margin-top:16px; background:var(--card); border:1px solid var(--line); border-radius:10px; }
        table { width:100%; border-collapse:collapse; font-size:15px; font-variant-numeric:tabular-nums; }
        th,td { padding:9px 14px; text-align:right; vertical-align:top; white-space:nowrap; }
        th { font-weight:600; } th:first-child,th.word,td.word { text-align:left; }
        thead th { font-size:13px; color:var(--soft); }
        tbody tr,tfoot tr { border-top:1px solid var(--line); }
        tfoot th,tfoot td { font-weight:400; color:var(--soft); }
        td small,th small { display:block; font-size:12px; font-weight:400; color:var(--soft); min-height:1em; }
        td small .good { color:var(--good); } td small .bad { color:var(--bad); }
        .samples h3 { font-size:13px; }
        .prompt { margin:8px 0; font-size:14px; color:var(--soft); white-space:pre-wrap; overflow-wrap:anywhere; }
        blockquote { margin:0; font:19px/1.75 Georgia,"Songti SC","Noto Serif CJK SC",SimSun,serif; white-space:pre-wrap;
          overflow-wrap:anywhere; }
        .next { margin:0; padding-left:1.4em; max-width:80ch; } .next li { margin:.5em 0; padding-left:.2em; }
        dl { display:grid; gap:12px 24px; grid-template-columns:repeat(auto-fill,minmax(min(100%,200px),1fr)); margin:0 0 18px; }
        dt { font-size:13px; color:var(--soft); } dd { margin:0; overflow-wrap:anywhere; }
        pre { margin:8px 0 0; padding:12px 16px; overflow-x:auto; background:var(--card); border:1px solid var(--line);
          border-radius:10px; font:14px/1.5 ui-monospace,Consolas,monospace; }
        @media print { section { break-inside:avoid; } }
        """;
}
