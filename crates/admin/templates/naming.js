    if (s.addresses && s.zones) {
      const el = (name, text, style) => { const e = document.createElement(name); if (text != null) e.textContent = text; if (style) e.className = style; return e; };
      const lines = (style, all) => { const td = cell("", style); td.append(...all); return td; };
      const note = w => el("p", w, "note"), of = (label, td) => { td.dataset.l = label; return td; };
      const address = a => {
        const own = cell("", "say"), mood = a.here ? "good" : a.unfit || a.etcd_silent ? "warn" : "soft";
        own.append(el("span", a.here ? "has it" : a.unfit || (a.etcd_silent ? "etcd does not answer this node" : "would have it"), mood));
        if (a.last) own.append(el("div", clock(a.last.at) + " " + a.last.what, "soft"));
        const holder = a.holder ? cell(a.holder, "mono") : a.etcd_silent ? cell("not known", "soft") : cell("nobody", "bad");
        return row([cell(a.name, "mono"), lines("mono", a.addresses.map(i => el("div", i))), of("held by", holder), of("since", cell(clock(a.since), "mono")),
          of("because", cell(a.why, "say")), of("would have it", lines("mono", a.candidates.map(n => el("div", n)))), of("this node", own)]);
      };
      at("addresses").hidden = !s.addresses.length;
      at("addresslist").replaceChildren(...s.addresses.map(address));
      at("addressnotes").replaceChildren(...s.addresses.filter(a => a.conflict).map(a => note(`${a.name}: ${a.conflict.what} (${clock(a.conflict.at)})`)));
      const record = (r, style) => { const d = el("div"); d.append(el("span", r.data, "mono"), " ", el("span", r.why, style)); return d; };
      const name = n => row([cell(n.name, "mono k"), cell(n.kind, "k"),
        lines("say", [...(n.all_down ? [el("div", "nothing behind it is up, so all are answered", "warn")] : []), ...n.records.filter(r => r.stands).map(r => record(r, n.all_down ? "warn" : "soft"))]),
        of("left out", lines("say", n.records.filter(r => !r.stands).map(r => record(r, "bad"))))]);
      const known = c => c.deaf ? "did not hear of the last change: " + c.deaf : c.serial != null ? `copied serial ${c.serial} at ${clock(c.copied)}` : "has not copied it since this node was started";
      const secondary = c => { const p = el("p", "secondary ", c.deaf ? "warn" : "soft"); p.append(el("span", c.address, "mono"), " " + known(c)); return p; };
      const zone = z => {
        const box = el("article", null, "service"), h = el("h3", z.name + " "), by = el("p", "name servers ", "soft"), table = el("table", null, "stack"), p = z.push;
        h.append(el("small", (z.serial == null ? "not answered here" : "serial " + z.serial) + ` · ${count(z.records)} records`));
        by.append(el("span", z.name_servers.join(" "), "mono"));
        if (p) by.append(" · pushed to ", el("span", p.server, "mono"), p.pushed ? " at " + clock(p.pushed) : "");
        const served = s.zones.zones.find(o => o.name === z.name), heard = served ? served.secondaries : [];
        const unheard = served ? z.secondaries.filter(a => !heard.some(c => c.address === a)).map(address => ({ address })) : [];
        box.append(h, by, ...(p && p.wrong ? [note("push: " + p.wrong)] : []), ...heard.concat(unheard).map(secondary));
        if (!z.names.length) return box;
        const head = table.createTHead().insertRow();
        for (const t of ["name", "type", "answered", "left out"]) head.append(el("th", t));
        table.createTBody().append(...z.names.map(name));
        box.append(table);
        return box;
      };
      at("zones").hidden = !s.zones.document.length;
      at("zonelist").replaceChildren(...s.zones.document.map(zone));
      const open = s.zones.listeners;
      at("zoneplaces").replaceChildren(...(open.length ? open.flatMap((o, i) => [i ? ", " : "answered at ", el("span", o.address, o.unbound ? "mono bad" : "mono")]) : ["This node answers no questions of DNS."]));
      at("zonenotes").replaceChildren(...open.filter(o => o.unbound).map(o => note(`${o.address}: ${o.unbound}`)));
    }
