using System.Text;

namespace Polymath.Recipes;

/// <summary>Reads recipes strictly: unknown settings are refused, and all faults are reported together.</summary>
public static class RecipeReader
{
    private const long LargestFile = 1024 * 1024;
    private const string Small = "small";

    /// <summary>Reads a recipe from a YAML or JSON file; paths are relative to the file's folder.</summary>
    /// <param name="file">The file.</param>
    /// <param name="small">Whether the recipe's <c>small</c> block is merged into it.</param>
    /// <param name="overrides">Settings to replace, such as <c>stages.finetune.optimizer.rate=3e-4</c>; they are applied after the small
    /// block.</param>
    /// <returns>The recipe, or its faults; a file that cannot be read is a fault too.</returns>
    public static RecipeReading Read(string file, bool small = false, IReadOnlyList<string>? overrides = null)
    {
        var folder = "";
        try
        {
            var full = Path.GetFullPath(file);
            folder = Path.GetDirectoryName(full) ?? full;
            if (Directory.Exists(full))
                return Unreadable(file, folder, "this is a folder", "name the recipe's file, such as recipe.yaml");
            if (!File.Exists(full))
                return Unreadable(file, folder, "there is no such file", Beside(full, folder));
            if (new FileInfo(full).Length > LargestFile)
                return Unreadable(file, folder, "the file is larger than any recipe", "name a recipe, not data or weights");
            var text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(File.ReadAllBytes(full));
            return Parse(
                text,
                Path.GetFileName(full),
                folder,
                small,
                overrides) with { File = file };
        }
        catch (DecoderFallbackException)
        {
            return Unreadable(file, folder, "the file is not UTF-8 text", "save it as UTF-8");
        }
        catch (Exception exception)
            when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            return Unreadable(
                file, folder, $"the file cannot be read: {exception.Message.TrimEnd('.')}", "check the path and who may read it");
        }
    }

    /// <summary>Reads a recipe from YAML or JSON text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="fileName">The name that faults give.</param>
    /// <param name="baseFolder">The folder that paths in the recipe are relative to.</param>
    /// <param name="small">Whether the recipe's <c>small</c> block is merged into it.</param>
    /// <param name="overrides">Settings to replace, such as <c>model.layers=2</c>; they are applied after the small block.</param>
    /// <returns>The recipe, or its faults.</returns>
    public static RecipeReading Parse(
        string text,
        string fileName,
        string baseFolder,
        bool small = false,
        IReadOnlyList<string>? overrides = null)
    {
        var faults = new FaultList();
        var place = new Place(fileName, 1, 1);
        var read = new NodeParser(fileName, faults).Parse(text.TrimStart('\ufeff'));
        var root = read is null ? null : new TemplateFiles(baseFolder, faults).Filled(read);
        Recipe? recipe = null;
        if (root is MappingNode mapping)
        {
            var block = mapping.Find(Small)?.Value;
            var plain = mapping.Without(Small);
            recipe = Bind(Overridden(small ? Laid(plain, block, faults) : plain, overrides, faults), baseFolder, faults);
            if (!small)
                CheckSmall(plain, block, baseFolder, faults);
        }
        else if (root is not null || !faults.Any)
        {
            faults.Add("", root?.Place ?? place,
                root is null ? "the recipe is empty" : $"{root.Describe()} stands where a recipe is expected",
                "begin with name: TEXT");
        }
        return faults.Any
            ? new RecipeReading(
                null,
                faults.Sorted(),
                fileName,
                baseFolder,
                "")
            : new RecipeReading(
                recipe,
                [],
                fileName,
                baseFolder,
                RecipeWriter.Write(recipe!));
    }

    private static MappingNode Laid(MappingNode plain, Node? block, FaultList faults)
    {
        if (block is MappingNode above)
            return (MappingNode)new Merging(faults).Merge(plain, above, Small);
        if (block is not (null or ScalarNode { IsNull: true }))
        {
            faults.Add(Small, block.Place,
                $"{block.Describe()} stands where a mapping of keys is expected",
                "write the settings that differ when the recipe is run small");
        }
        return plain;
    }

    private static Node Overridden(Node root, IReadOnlyList<string>? overrides, FaultList faults)
    {
        var setter = new Overrides(faults);
        return (overrides ?? []).Aggregate(root, setter.Apply);
    }

    // What one stage needs of another is checked over all rounds; the settings of a stage, in each round that changes them.
    private static Recipe? Bind(Node root, string baseFolder, FaultList faults)
    {
        var binder = new Binder(faults);
        if (Bound(root, baseFolder, binder, faults) is not { } recipe)
            return null;
        if (!faults.Any)
            recipe = new RoundReader(faults).Read((MappingNode)root, recipe, (node, found) => BindRound(node, baseFolder, found));
        new RecipeChecks(new Checks(recipe, binder, faults, baseFolder)).Run();
        return recipe;
    }

    private static Recipe? BindRound(Node root, string baseFolder, FaultList faults)
    {
        var binder = new Binder(faults);
        if (Bound(root, baseFolder, binder, faults) is not { } recipe)
            return null;
        new RecipeChecks(new Checks(recipe, binder, faults, baseFolder)).RunStages();
        return recipe;
    }

    private static Recipe? Bound(
        Node root,
        string baseFolder,
        Binder binder,
        FaultList faults)
    {
        if (root is not MappingNode mapping || binder.Bind(root, typeof(Recipe), "") is not Recipe recipe)
            return null;
        var meanings = new MeaningChecks(mapping, baseFolder, faults);
        foreach (var mention in binder.Mentions)
            meanings.Check(mention);
        return recipe;
    }

    /// <summary>Reports faults that appear only when the small block is merged into the recipe.</summary>
    private static void CheckSmall(MappingNode plain, Node? block, string baseFolder, FaultList faults)
    {
        if (block is null)
            return;
        var (before, after) = (new FaultList(), new FaultList());
        Bind(plain, baseFolder, before);
        Bind(Laid(plain, block, after), baseFolder, after);
        var within = Places(block).ToHashSet();
        var told = before.Sorted().Select(fault => (fault.Path, fault.Line, fault.Column)).ToHashSet();
        foreach (var fault in after.Sorted().Where(fault => !told.Contains((fault.Path, fault.Line, fault.Column))))
        {
            var place = new Place(fault.File, fault.Line, fault.Column);
            faults.Add(fault.Path, place, within.Contains(place) ? fault.Problem : $"with the small block, {fault.Problem}", fault.Hint);
        }
    }

    private static IEnumerable<Place> Places(Node node) => node switch
    {
        MappingNode mapping => mapping.Entries.SelectMany(entry => Places(entry.Value).Append(entry.Place)).Prepend(node.Place),
        ListNode list => list.Items.SelectMany(Places).Prepend(node.Place),
        _ => [node.Place],
    };

    private static RecipeReading Unreadable(string file, string folder, string problem, string hint) =>
        new(
            null,
            [new Fault(
                "",
                0,
                0,
                problem,
                hint) { File = file }],
            file,
            folder,
            "");

    private static string Beside(string full, string folder)
    {
        var names = Directory.Exists(folder)
            ? Directory.EnumerateFiles(folder)
                .Where(path => Path.GetExtension(path) is ".yaml" or ".yml" or ".json")
                .Select(path => Path.GetFileName(path)).Order().ToList()
            : [];
        return names.Count == 0
            ? "check the path; there are no recipes in that folder"
            : Nearest.Hint(Path.GetFileName(full), names, "recipes");
    }
}
