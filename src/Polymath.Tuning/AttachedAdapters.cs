using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;

namespace Polymath.Tuning;

/// <summary>
/// Adapters that are attached to a model together: one from its own folder, or several from a folder with a sub-folder for each (as PEFT
/// saves adapters not named default) and an <c>adapters.json</c> that says how they are used together.
/// </summary>
public sealed class AttachedAdapters : IDisposable
{
    /// <summary>The file that names the adapters of a folder.</summary>
    public const string IndexFile = "adapters.json";

    private readonly List<DeltaSet> sets = [];
    private AdapterMixture? mixture;

    private AttachedAdapters()
    {
    }

    /// <summary>The adapters.</summary>
    public IReadOnlyList<DeltaSet> Sets => sets;

    /// <summary>Attaches the adapters of a folder.</summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="anyBase">Whether it may be attached to another model than the one it was trained on.</param>
    /// <exception cref="InputException">A file is missing or damaged, or each adapter applies to its own rows, so that one has to be
    /// chosen.</exception>
    public static AttachedAdapters Load(LanguageModel model, string folder, bool anyBase = false)
    {
        var attached = new AttachedAdapters();
        try
        {
            if (!File.Exists(Path.Combine(folder, IndexFile)))
            {
                attached.sets.Add(DeltaSet.Load(model, folder, anyBase));
                return attached;
            }
            var (together, names) = ReadIndex(folder);
            if (together == Together.Route)
                throw new InputException($"{folder} holds adapters that were each trained on rows of their own. Choose one: --adapter "
                    + $"{string.Join(", or --adapter ", names.Select(name => Path.Combine(folder, name)))}.");
            foreach (var name in names) attached.sets.Add(DeltaSet.Load(model, Path.Combine(folder, name), anyBase));
            if (together == Together.Mix) attached.mixture = AdapterMixture.Load(model, attached.sets, folder);
            return attached;
        }
        catch
        {
            attached.Dispose();
            throw;
        }
    }

    /// <summary>Writes the index of a folder's adapters.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="together">How they are used together.</param>
    /// <param name="names">Their names, in order.</param>
    public static void WriteIndex(string folder, Together together, IEnumerable<string> names) => AtomicFile.WriteText(
        Path.Combine(folder, IndexFile),
        new JsonObject
        {
            ["together"] = JsonNamingPolicy.CamelCase.ConvertName(together.ToString()),
            ["adapters"] = new JsonArray([.. names.Select(name => JsonValue.Create(name))]),
        }.ToJsonString(JsonLayout.Indented) + "\n");

    /// <summary>How the adapters of a folder are used together, and their names in order: each has a sub-folder.</summary>
    /// <param name="folder">The folder, with an <see cref="IndexFile"/>.</param>
    /// <exception cref="InputException">The file is damaged.</exception>
    public static (Together Together, IReadOnlyList<string> Names) ReadIndex(string folder)
    {
        var file = Path.Combine(folder, IndexFile);
        try
        {
            var content = JsonNode.Parse(File.ReadAllText(file));
            var names = content?["adapters"]?.AsArray().Select(node => node!.GetValue<string>()).ToList() ?? [];
            // A name must not lead outside the folder.
            if (Enum.TryParse<Together>(content?["together"]?.GetValue<string>(), ignoreCase: true, out var together)
                && Enum.IsDefined(together) && names.Count > 0 && names.Distinct().Count() == names.Count
                && names.TrueForAll(name => name == Path.GetFileName(name) && name is not ("" or "." or "..")))
                return (together, names);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException)
        {
            // The fault is reported below, as for content that parses but is incomplete.
        }
        throw new InputException($"{file} is damaged: it should hold {{\"together\": \"stack\", \"adapters\": [\"NAME\"]}}. Restore it, or "
            + "name one of the folders next to it.");
    }

    /// <summary>
    /// The names of a folder's adapters when each was trained on its own rows; null when they are used together in another way, or there is
    /// only one.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="InputException">Its index is damaged.</exception>
    public static IReadOnlyList<string>? RoutedNames(string folder) =>
        File.Exists(Path.Combine(folder, IndexFile)) && ReadIndex(folder) is { Together: Together.Route } index ? index.Names : null;

    /// <summary>Detaches and frees them.</summary>
    public void Dispose()
    {
        mixture?.Dispose();
        // The last one wraps those before it.
        foreach (var set in Enumerable.Reverse(sets)) set.Dispose();
        sets.Clear();
    }
}
