using Polymath.Recipes;
using Polymath.Text.Hubs;
using Polymath.Text.Prompts;
using Polymath.Text.Templates;

namespace Polymath.Text;

/// <summary>The data and tables of a recipe, read once and kept. For one thread.</summary>
/// <param name="recipe">The recipe.</param>
/// <param name="baseFolder">The folder that relative paths start from.</param>
/// <param name="cache">The cache of data packages.</param>
/// <param name="progress">Receives the progress of reading; null for none.</param>
/// <param name="hub">Fetches files from hubs; configured by the environment when left out.</param>
public sealed class Corpora(
    Recipe recipe,
    string baseFolder,
    PackageCache cache,
    CorpusProgress? progress = null,
    Hub? hub = null)
{
    private readonly Lazy<Hub> hubs = new(() => hub ?? new Hub(HubSettings.FromEnvironment()));
    private readonly Dictionary<string, IReadOnlyList<Row>> rows = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SourceReport> reports = new(StringComparer.Ordinal);
    private readonly Dictionary<string, CharacterConversion> conversions = new(StringComparer.Ordinal);
    private readonly Dictionary<string, CharacterClasses> classes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, RelatedWords> nets = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> made = new(StringComparer.Ordinal);
    private readonly HashSet<string> open = new(StringComparer.Ordinal);

    /// <summary>The recipe's seed, by which rows are drawn.</summary>
    public long Seed => recipe.Seed;

    /// <summary>The rows of a source, in the order of its files.</summary>
    /// <param name="dataName">The source's name under <c>data</c>.</param>
    /// <exception cref="InputException">The source does not exist, cannot be read, or has no rows.</exception>
    public IReadOnlyList<Row> Rows(string dataName)
    {
        if (rows.TryGetValue(dataName, out var known))
            return known;
        if (!recipe.Data.TryGetValue(dataName, out var spec))
            throw new InputException($"there is no data '{dataName}'. Declared under 'data': {string.Join(", ", recipe.Data.Keys)}.");
        if (!open.Add(dataName))
            throw new InputException($"data '{dataName}' is a view on itself, by way of {string.Join(", ", open)}. Let one of them name "
                + "files.");
        try
        {
            return rows[dataName] = spec switch
            {
                FilesSpec files => ReadFiles(dataName, files),
                ViewSpec view => MakeView(dataName, view),
                IMadeSource made => Made(dataName, made),
                _ => throw new InputException($"data '{dataName}' is neither files nor a view. Give it 'files' or 'view'."),
            };
        }
        finally
        {
            open.Remove(dataName);
        }
    }

    /// <summary>Whether a source, or the one that it is a view of, is made from what models answered.</summary>
    /// <param name="dataName">The source's name under <c>data</c>.</param>
    public bool IsMade(string dataName) => recipe.Data.GetValueOrDefault(dataName) switch
    {
        IMadeSource => true,
        ViewSpec view => IsMade(view.View),
        _ => false,
    };

    /// <summary>Names the file of a source that is made from what models answered; what was read of it and of views before is forgotten.
    /// </summary>
    /// <param name="dataName">The source's name under <c>data</c>.</param>
    /// <param name="file">The file, one JSON object a line.</param>
    public void Give(string dataName, string file)
    {
        made[dataName] = file;
        foreach (var name in rows.Keys.Where(IsMade).ToList()) rows.Remove(name);
    }

    // Before its stage is over there are no rows, such as for a tokenizer.
    private List<Row> Made(string name, IMadeSource source)
    {
        if (made.TryGetValue(name, out var file))
            return ReadFiles(name, new FilesSpec([file], Format: FileFormat.Jsonl, Shape: source.Shape, Split: source.Split));
        reports[name] = new SourceReport();
        return [];
    }

    /// <summary>Whether all files of a source are on this machine: none comes from a hub or a package.</summary>
    /// <param name="dataName">The source's name under <c>data</c>.</param>
    /// <exception cref="InputException">An entry of a description is not valid.</exception>
    public bool IsLocal(string dataName) => recipe.Data.GetValueOrDefault(dataName) switch
    {
        FilesSpec files => files.Addresses().All(address => !PackageCache.IsAddress(address) && !HubAddress.IsAddress(address)
            && DataDescription.Parse(Path.GetFullPath(Path.Combine(baseFolder, address)))?.Address is null),
        ViewSpec view => IsLocal(view.View),
        _ => false,
    };

    /// <summary>Fetches what the recipe reads from hubs, so that a wrong name is found before the first step.</summary>
    /// <exception cref="InputException">It cannot be fetched.</exception>
    public void Fetch()
    {
        foreach (var (name, source) in recipe.Data)
        {
            if (source is FilesSpec spec && spec.Addresses().Where(HubAddress.IsAddress).ToList() is { Count: > 0 } addresses)
                FilesOf($"data '{name}'", addresses, spec.Sha512);
        }
    }

    /// <summary>A conversion table.</summary>
    /// <param name="tableName">The table's name under <c>tables</c>.</param>
    /// <exception cref="InputException">The table does not exist, is of another kind, or cannot be read.</exception>
    public CharacterConversion Conversion(string tableName)
    {
        if (conversions.TryGetValue(tableName, out var known))
            return known;
        var spec = Table<ConversionTableSpec>(tableName, "conversion");
        return conversions[tableName] = CharacterConversion.Read(
            tableName, FilesOf($"table '{tableName}'", spec.Files, spec.Sha512), spec.Entry);
    }

    /// <summary>A table of character classes, learned from its sources.</summary>
    /// <param name="tableName">The table's name under <c>tables</c>.</param>
    /// <exception cref="InputException">The table does not exist, is of another kind, or its sources have nothing to learn
    /// from.</exception>
    public CharacterClasses Classes(string tableName)
    {
        if (classes.TryGetValue(tableName, out var known))
            return known;
        if (recipe.Tables?.GetValueOrDefault(tableName) is ReadingsTableSpec readings)
            return classes[tableName] = ReadingClasses.Read(
                tableName, FilesOf($"table '{tableName}'", readings.Files, readings.Sha512), readings);
        var spec = Table<CharacterClassesSpec>(tableName, "characterClasses");
        return classes[tableName] = CharacterClasses.Learn(tableName, spec, Rows(spec.Marks), Rows(spec.Texts));
    }

    /// <summary>A table of related words.</summary>
    /// <param name="tableName">The table's name under <c>tables</c>.</param>
    /// <exception cref="InputException">The table does not exist, is of another kind, or cannot be read.</exception>
    public RelatedWords Words(string tableName)
    {
        if (nets.TryGetValue(tableName, out var known))
            return known;
        if (recipe.Tables?.GetValueOrDefault(tableName) is SynonymTableSpec list)
            return nets[tableName] = SynonymList.Read(
                tableName, FilesOf($"table '{tableName}'", list.Files, list.Sha512), list.Steps);
        var spec = Table<WordNetTableSpec>(tableName, "wordnet");
        return nets[tableName] = WordNet.Read(tableName, FilesOf($"table '{tableName}'", spec.Files, spec.Sha512));
    }

    private T Table<T>(string name, string kind)
        where T : TableSpec
    {
        var tables = recipe.Tables ?? new Dictionary<string, TableSpec>();
        return tables.GetValueOrDefault(name) switch
        {
            T spec => spec,
            null => throw new InputException($"there is no table '{name}'. Declared under 'tables': {string.Join(", ", tables.Keys)}."),
            _ => throw new InputException($"table '{name}' is not of the kind {kind}. Name another table, or change its kind."),
        };
    }

    private IEnumerable<string> Packages() => (recipe.Data?.Values ?? []).OfType<FilesSpec>().SelectMany(spec => spec.Addresses())
        .Concat((recipe.Tables?.Values ?? []).SelectMany(FilesOf)).Where(PackageCache.IsAddress);

    private static IReadOnlyList<string> FilesOf(TableSpec table) => table switch
    {
        ConversionTableSpec conversion => conversion.Files,
        ReadingsTableSpec readings => readings.Files,
        WordNetTableSpec net => net.Files,
        SynonymTableSpec list => list.Files,
        _ => [],
    };

    private List<string> FilesOf(string owner, IReadOnlyList<string> patterns, string? sha512)
    {
        var files = new List<string>();
        foreach (var pattern in patterns)
        {
            try
            {
                files.AddRange(FilesAt(pattern, sha512));
            }
            catch (InputException fault)
            {
                throw new InputException($"{owner}: {fault.Message}", fault);
            }
        }

        return [.. files.Distinct(StringComparer.Ordinal)];
    }

    /// <summary>Reports which parts of a source's rows are not learned.</summary>
    /// <param name="dataName">The source's name under <c>data</c>.</param>
    /// <exception cref="InputException">The source cannot be read.</exception>
    public SourceReport Report(string dataName)
    {
        Rows(dataName);
        return reports[dataName];
    }

    private IReadOnlyList<string> FilesAt(string pattern, string? sha512)
    {
        if (PackageCache.IsAddress(pattern))
            return cache.Resolve(pattern, sha512, progress, Packages());
        if (HubAddress.IsAddress(pattern))
            return hubs.Value.Data(pattern);
        var path = Path.GetFullPath(Path.Combine(baseFolder, pattern));
        if (DescribedData.Split(pattern).File is not null || (Directory.Exists(path) && SavedDatasetFiles.AreIn(path)))
            return [path];
        return FilePattern.Find(baseFolder, pattern);
    }

    private List<Row> ReadFiles(string name, FilesSpec spec)
    {
        var report = reports[name] = new SourceReport();
        spec = WithHubSplits(name, spec);
        if (spec.Validation is null && spec.Test is null)
            return ReadFiles(name, spec, report);
        var split = spec.Split ?? new SplitSpec();
        var rest = split with
        {
            Validation = spec.Validation is null ? split.Validation : 0, Test = spec.Test is null ? split.Test : 0,
        };
        var rows = ReadFiles(name, spec with { Split = rest }, report);
        foreach (var (files, part) in new[] { (spec.Validation, DataSplit.Validation), (spec.Test, DataSplit.Test) })
        {
            if (files is not null)
                rows.AddRange(ReadFiles(name, spec with { Files = files, Split = null, Part = null, Sample = null }, report)
                    .Select(row => row with { Split = part }));
        }
        return rows;
    }

    // A repository of a hub says by its files' names which rows are for what.
    private FilesSpec WithHubSplits(string name, FilesSpec spec)
    {
        if (spec.Split is not null || spec.Validation is not null || spec.Test is not null
            || !spec.Files.All(file => HubAddress.IsAddress(file) && HubAddress.ParseData(file).Path is null))
            return spec;
        var files = FilesOf($"data '{name}'", spec.Files, spec.Sha512).ToLookup(file => NamedSplit.Of(Path.GetFileName(file)));
        if (!files[DataSplit.Train].Any() || files.Count == 1)
            return spec;
        return spec with
        {
            Files = [.. files[DataSplit.Train]],
            Validation = files.Contains(DataSplit.Validation) ? [.. files[DataSplit.Validation]] : null,
            Test = files.Contains(DataSplit.Test) ? [.. files[DataSplit.Test]] : null,
        };
    }

    private List<Row> ReadFiles(string name, FilesSpec spec, SourceReport report)
    {
        var sources = SourceFiles.Of(FilesOf($"data '{name}'", spec.Files, spec.Sha512), spec, report, address => hubs.Value.Data(address));
        var total = sources.Sum(source => new FileInfo(source.File).Length);
        var done = 0L;
        var collected = new List<CollectedRow>();
        var collectors = new List<RowCollector>();
        var filter = new RowFilter(spec.Where, name);
        foreach (var group in sources.GroupBy(source => source.Spec))
        {
            var collector = new RowCollector(group.Key, filter, report);
            foreach (var (file, asked) in group)
            {
                RowReader.Read(file, asked.Format ?? RowReader.FormatOf(file), collector, count =>
                {
                    done += count;
                    progress?.Invoke($"reading {name}", done, total);
                });
            }
            collector.CheckFields(name);
            collectors.Add(collector);
            collected.AddRange(SampleOf(name, collector.Rows, group.Key.Sample));
        }
        bool Knows(string field) => collectors.Exists(collector => collector.Knows(field));
        var log = new List<string>
        {
            $"{sources.Count} file{(sources.Count == 1 ? " holds" : "s hold")} {collected.Count + filter.Removed} rows",
        };
        var rows = filter.Apply(collected, row => row.Columns, Knows, log);
        if (spec.Documents == TextDocuments.File)
            return PartOf(name, FileParts.Of(rows, spec.Split ?? new SplitSpec()), spec.Part);
        if (spec.Distinct is { } distinct && rows.Count > 0)
            rows = Distinct(name, rows, distinct, Knows);
        CheckNotEmpty(name, rows.Count, log);
        var split = spec.Split ?? new SplitSpec();
        foreach (var field in split.By ?? [])
        {
            if (!Knows(field))
                throw Missing(name, $"'split.by' names the field '{field}'", rows[0].Columns.Keys);
        }
        var read = rows.ConvertAll(row =>
        {
            var key = RowHash.KeyOf(row.Fields);
            var part = RowHash.SplitOf(split.By is null ? row.Fields : row.Columns, split);
            return new Row(key, part, row.Fields, Place: row.Place) { NoTexts = row.NoTexts };
        });
        return PartOf(name, read, spec.Part);
    }

    // In the order of the files; where more are asked for than there are, all of them come as often as fits, and the rest is drawn.
    private List<CollectedRow> SampleOf(string name, List<CollectedRow> rows, int? sample)
    {
        if (sample is not { } wanted || rows.Count == 0)
            return rows;
        var random = new RandomStream(recipe.Seed, $"sample {name}");
        var drawn = rows.Select((_, i) => (Index: i, Order: random.NextBits())).OrderBy(entry => entry.Order)
            .Take(wanted % rows.Count).Select(entry => entry.Index).ToHashSet();
        return [.. rows.SelectMany((row, i) => Enumerable.Repeat(row, wanted / rows.Count + (drawn.Contains(i) ? 1 : 0)))];
    }

    private static List<CollectedRow> Distinct(string name, List<CollectedRow> rows, string field, Func<string, bool> known)
    {
        if (!known(field))
            throw Missing(name, $"'distinct' names the field '{field}'", rows[0].Columns.Keys);
        var seen = new HashSet<string>(StringComparer.Ordinal);
        return rows.FindAll(row => seen.Add(row.Columns.TryGetValue(field, out var value) ? value : ""));
    }

    private static InputException Missing(string name, string what, IEnumerable<string> found) =>
        new($"data '{name}': {what}, which does not exist. Found: {string.Join(", ", found)}. Correct the name.");

    // Equal parts, independent of the order of the rows: by the rank of their keys. Equal rows may be in different parts.
    private static List<Row> PartOf(string name, List<Row> rows, string? part)
    {
        if (part is null)
            return rows;
        var (number, count) = RowPart.Parse(part) ?? throw new InputException($"data '{name}': 'part' is '{part}'. Write {RowPart.Form}.");
        if (rows.Count < count)
            throw new InputException($"data '{name}': {rows.Count} rows cannot be cut into {count} parts. Ask for fewer parts, or name "
                + "other files.");
        var mine = rows.Index().OrderBy(row => row.Item.Key, StringComparer.Ordinal).ThenBy(row => row.Index).Index()
            .Where(ranked => ranked.Index % count == number - 1).Select(ranked => ranked.Item.Index).ToHashSet();
        return [.. rows.Where((_, i) => mine.Contains(i))];
    }

    private List<Row> MakeView(string name, ViewSpec spec)
    {
        var source = Rows(spec.View).ToList();
        reports[name] = reports[spec.View];
        if (source.Count == 0 && IsMade(spec.View))
            return [];
        var log = new List<string> { $"'{spec.View}' holds {source.Count} rows" };
        bool Knows(string field) => source.Count > 0 && source[0].Fields.ContainsKey(field);
        var rows = new RowFilter(spec.Where, name).Apply(source, row => row.Fields, Knows, log);
        CheckNotEmpty(name, rows.Count, log);
        if (spec.Fields is { Count: > 0 } added)
            rows = WithFields(rows, added);
        return PartOf(name, spec.Few is { } few ? [.. FewRows.Of(name, rows, few, recipe.Seed)] : rows, spec.Part);
    }

    private static List<Row> WithFields(List<Row> rows, IReadOnlyDictionary<string, string> added)
    {
        var names = rows[0].Fields.Keys.Concat(added.Keys).Distinct().Index()
            .ToDictionary(entry => entry.Item, entry => entry.Index, StringComparer.Ordinal);
        var texts = added.Select(pair => (Name: pair.Key, Text: new FieldText(pair.Value))).ToList();
        return rows.ConvertAll(row =>
        {
            var values = new string[names.Count];
            foreach (var (field, value) in row.Fields)
                values[names[field]] = value;
            foreach (var (field, text) in texts)
                values[names[field]] = text.Fill(row.Fields);
            var fields = new RowFields(names, values);
            return row with { Key = RowHash.KeyOf(fields), Fields = fields, NoTexts = NoTexts(row, texts) };
        });
    }

    // A field that takes in the value of another is no text where that one is none.
    private static HashSet<string>? NoTexts(Row row, List<(string Name, FieldText Text)> added)
    {
        if (row.NoTexts is not { } before)
            return null;
        var made = added.Where(field => field.Text.Parts.Any(part => part.IsField && before.Contains(part.Text)))
            .Select(field => field.Name);
        return before.Except(added.Select(field => field.Name)).Concat(made).ToHashSet(StringComparer.Ordinal);
    }

    private static void CheckNotEmpty(string name, int count, List<string> log)
    {
        if (count == 0)
            throw new InputException($"data '{name}' has no rows: {string.Join("; ", log)}. "
                + $"{(log.Count > 1 ? "Loosen the filters under 'where', or name other files" : "Name other files")}.");
    }
}
