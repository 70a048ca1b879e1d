using Polymath.Recipes;
using Polymath.Text.Hubs;
using Polymath.Text.Templates;

namespace Polymath.Text;

/// <summary>The data and tables of a recipe, read once and kept. For one thread.</summary>
/// <param name="recipe">The recipe.</param>
/// <param name="baseFolder">The folder that relative paths start from.</param>
/// <param name="cache">Where data packages are kept.</param>
/// <param name="progress">Is told how far reading has come; null for silence.</param>
/// <param name="hub">Fetches what lies on hubs; as the environment says when left out.</param>
public sealed class Corpora(
    Recipe recipe,
    string baseFolder,
    PackageCache cache,
    CorpusProgress? progress = null,
    Hub? hub = null)
{
    private readonly Lazy<Hub> openHub = new(() => hub ?? new Hub(HubSettings.FromEnvironment()));
    private readonly Dictionary<string, IReadOnlyList<Row>> rows = new(StringComparer.Ordinal);
    private readonly Dictionary<string, CharacterConversion> conversions = new(StringComparer.Ordinal);
    private readonly Dictionary<string, CharacterClasses> classes = new(StringComparer.Ordinal);
    private readonly HashSet<string> open = new(StringComparer.Ordinal);

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
                _ => throw new InputException($"data '{dataName}' is neither files nor a view. Give it 'files' or 'view'."),
            };
        }
        finally
        {
            open.Remove(dataName);
        }
    }

    /// <summary>Fetches what the recipe reads from hubs, so that a name that leads nowhere is found out before the first step.</summary>
    /// <exception cref="InputException">It cannot be had.</exception>
    public void Fetch()
    {
        foreach (var (name, source) in recipe.Data)
        {
            if (source is FilesSpec spec && spec.Files.Any(HubAddress.IsAddress)) FilesOf($"data '{name}'", spec.Files, spec.Sha512);
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
    /// <exception cref="InputException">The table does not exist, is of another kind, or its sources teach nothing.</exception>
    public CharacterClasses Classes(string tableName)
    {
        if (classes.TryGetValue(tableName, out var known))
            return known;
        var spec = Table<CharacterClassesSpec>(tableName, "characterClasses");
        return classes[tableName] = CharacterClasses.Learn(tableName, spec, Rows(spec.Marks), Rows(spec.Texts));
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

    private IEnumerable<string> Packages() => (recipe.Data?.Values ?? []).OfType<FilesSpec>().SelectMany(spec => spec.Files)
        .Concat((recipe.Tables?.Values ?? []).OfType<ConversionTableSpec>().SelectMany(spec => spec.Files)).Where(PackageCache.IsAddress);

    private List<string> FilesOf(string owner, IReadOnlyList<string> patterns, string? sha512)
    {
        var files = new List<string>();
        foreach (var pattern in patterns)
        {
            try
            {
                files.AddRange(pattern switch
                {
                    _ when PackageCache.IsAddress(pattern) => cache.Resolve(pattern, sha512, progress, Packages()),
                    _ when HubAddress.IsAddress(pattern) => openHub.Value.Data(pattern),
                    _ => FilePattern.Find(baseFolder, pattern),
                });
            }
            catch (InputException fault)
            {
                throw new InputException($"{owner}: {fault.Message}", fault);
            }
        }

        return [.. files.Distinct(StringComparer.Ordinal)];
    }

    private List<Row> ReadFiles(string name, FilesSpec spec)
    {
        var files = FilesOf($"data '{name}'", spec.Files, spec.Sha512);
        var total = files.Sum(file => new FileInfo(file).Length);
        var done = 0L;
        var collector = new RowCollector(spec.Fields, spec.Shape);
        foreach (var file in files)
        {
            RowReader.Read(file, spec.Format ?? RowReader.FormatOf(file), collector, count =>
            {
                done += count;
                progress?.Invoke($"reading {name}", done, total);
            });
        }

        collector.CheckFields(name);
        var log = new List<string> { $"{files.Count} file{(files.Count == 1 ? " holds" : "s hold")} {collector.Rows.Count} rows" };
        var rows = RowFilter.Apply(
            collector.Rows,
            spec.Where,
            row => row,
            name,
            log);
        if (spec.Distinct is { } distinct && rows.Count > 0)
        {
            var seen = new HashSet<string>(StringComparer.Ordinal);
            rows = rows.FindAll(row => seen.Add(row.TryGetValue(distinct, out var value) ? value
                : throw new InputException($"data '{name}': 'distinct' names the field '{distinct}', which does not exist. Found: "
                    + $"{string.Join(", ", row.Keys)}.")));
        }

        CheckNotEmpty(name, rows.Count, log);
        var split = spec.Split ?? new SplitSpec();
        foreach (var field in split.By ?? [])
        {
            if (!rows[0].ContainsKey(field))
                throw new InputException($"data '{name}': 'split.by' names the field '{field}', which does not exist. Found: "
                    + $"{string.Join(", ", rows[0].Keys)}.");
        }

        return rows.ConvertAll(row => new Row(RowHash.KeyOf(row), RowHash.SplitOf(row, split), row));
    }

    private List<Row> MakeView(string name, ViewSpec spec)
    {
        var source = Rows(spec.View).ToList();
        var log = new List<string> { $"'{spec.View}' holds {source.Count} rows" };
        var rows = RowFilter.Apply(
            source,
            spec.Where,
            row => row.Fields,
            name,
            log);
        CheckNotEmpty(name, rows.Count, log);
        if (spec.Fields is not { Count: > 0 } added)
            return rows;
        var names = rows[0].Fields.Keys.Concat(added.Keys).Distinct().Index()
            .ToDictionary(entry => entry.Item, entry => entry.Index, StringComparer.Ordinal);
        var texts = added.Select(pair => (pair.Key, Text: new FieldText(pair.Value))).ToList();
        return rows.ConvertAll(row =>
        {
            var values = new string[names.Count];
            foreach (var (field, value) in row.Fields)
                values[names[field]] = value;
            foreach (var (field, text) in texts)
                values[names[field]] = text.Fill(row.Fields);
            var fields = new RowFields(names, values);
            return new Row(RowHash.KeyOf(fields), row.Split, fields);
        });
    }

    private static void CheckNotEmpty(string name, int count, List<string> log)
    {
        if (count == 0)
            throw new InputException($"data '{name}' has no rows: {string.Join("; ", log)}. "
                + $"{(log.Count > 1 ? "Loosen the filters under 'where', or name other files" : "Name other files")}.");
    }
}
