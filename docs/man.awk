# A manual page from what a program prints for --help: awk -f docs/man.awk -v name=muster-agent
# -v section=8 -v version=0.1.0. The lines are kept as they are; the first that is neither empty nor
# the usage says in a sentence what the program is.
function plain(s) {
    gsub(/\\/, "\\e", s)
    gsub(/-/, "\\-", s)
    return s ~ /^[.']/ ? "\\&" s : s
}
{ line[NR] = $0 }
tolower($0) ~ /^ *usage:|^ +(or: )?muster-/ { next }
summary == "" && NF { summary = $0; sub(/\.$/, "", summary) }
END {
    printf ".TH %s %s \"\" \"Muster %s\" \"Muster\"\n", toupper(name), section, version
    printf ".SH NAME\n%s \\- %s\n.SH DESCRIPTION\n.nf\n", plain(name), plain(tolower(substr(summary, 1, 1)) substr(summary, 2))
    for (i = 1; i <= NR; i++)
        print plain(line[i])
    print ".fi\n.SH SEE ALSO\n\\fBschedctl\\fR(1), \\fBmuster\\-scheduler\\fR(8), \\fBmuster\\-agent\\fR(8), \\fBmuster\\-ml\\fR(1)"
}
