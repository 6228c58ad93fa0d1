# table.awk - medians of many runs as one Markdown table.
# Input: the rows (name|what|figure|unit|decimals), then load's lines of JSON with "row" in front.

function text_of(name, line,    start) {
    start = index(line, "\"" name "\":\"")
    if (start == 0) {
        return ""
    }
    line = substr(line, start + length(name) + 4)
    return substr(line, 1, index(line, "\"") - 1)
}

function number_of(name, line,    start) {
    start = index(line, "\"" name "\":")
    return start == 0 ? "" : substr(line, start + length(name) + 3) + 0
}

function median(key,    n, i, j, x, values) {
    n = split(runs[key], values, " ")
    for (i = 2; i <= n; i++) {
        x = values[i] + 0
        for (j = i - 1; j >= 1 && values[j] + 0 > x; j--) {
            values[j + 1] = values[j]
        }
        values[j + 1] = x
    }
    return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}

BEGIN {
    FS = "|"
    server_count = split(servers, server, " ")
}

FNR == NR {
    row_count++
    row_name[row_count] = $1
    row_what[row_count] = $2
    row_figure[row_count] = $3
    row_unit[row_count] = $4
    row_decimals[row_count] = $5
    next
}

{
    label = text_of("label", $0)
    name = text_of("row", $0)
    if (index($0, "\"ok\":true") == 0) {
        wrong[name, label] = 1
    }
    for (i = 1; i <= row_count; i++) {
        if (row_name[i] == name && number_of(row_figure[i], $0) != "") {
            runs[i, label] = runs[i, label] " " number_of(row_figure[i], $0)
        }
    }
}

# Starling is the second server when there is one: the ratio to each other says "Starling is this many times".
END {
    head = "| | unit |"
    rule = "|---|---|"
    for (s = 1; s <= server_count; s++) {
        head = head " " server[s] " |"
        rule = rule "---:|"
    }
    for (s = 1; s <= server_count; s++) {
        if (server[s] != "starling" && server_count > 1) {
            head = head " starling / " server[s] " |"
            rule = rule "---:|"
        }
    }
    print head
    print rule
    for (i = 1; i <= row_count; i++) {
        line = "| " row_what[i] " | " row_unit[i] " |"
        for (s = 1; s <= server_count; s++) {
            has[s] = (i, server[s]) in runs
            value[s] = has[s] ? median(i SUBSEP server[s]) : 0
            mark = ((row_name[i], server[s]) in wrong) ? " (!)" : ""
            line = line " " (has[s] ? sprintf("%.*f", row_decimals[i], value[s]) : "–") mark " |"
            mine = server[s] == "starling" ? s : mine
        }
        for (s = 1; s <= server_count; s++) {
            if (server[s] != "starling" && server_count > 1) {
                line = line " " (has[s] && has[mine] && value[s] > 0 ? sprintf("%.2f", value[mine] / value[s]) : "–") " |"
            }
        }
        print line
    }
    for (key in wrong) {
        print "\n(!) something was lost, doubled, out of order, corrupt, refused or unanswered in that run."
        break
    }
}
