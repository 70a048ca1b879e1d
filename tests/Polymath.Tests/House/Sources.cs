using Polymath.Tests.Recipes;

namespace Polymath.Tests.House;

/// <summary>The files of the repository.</summary>
internal static class Sources
{
    public static string Root { get; } = Path.GetDirectoryName(SampleRecipes.Folder)!;

    public static string At(params string[] parts) => Path.Combine([Root, .. parts]);

    /// <summary>The C# files of a project under src, or of all of src and tests.</summary>
    public static IReadOnlyList<string> Of(string? project = null) =>
        [.. (project is null ? new[] { At("src"), At("tests") } : [At("src", project)])
            .SelectMany(folder => Directory.GetFiles(folder, "*.cs", SearchOption.AllDirectories)).Where(IsSource)];

    private static bool IsSource(string file)
    {
        var parts = Path.GetRelativePath(Root, file).Split(Path.DirectorySeparatorChar);
        return !parts.Contains("obj") && !parts.Contains("bin");
    }
}
