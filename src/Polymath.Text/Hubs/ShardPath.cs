namespace Polymath.Text.Hubs;

/// <summary>The path of a file that an index names.</summary>
public static class ShardPath
{
    /// <summary>The path below the index's folder, without <c>./</c>; null when it would leave the folder.</summary>
    /// <param name="name">The path in the index, such as <c>./model-00001-of-00002.safetensors</c>.</param>
    public static string? Inside(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (name.StartsWith('/') || name.Contains('\\', StringComparison.Ordinal) || name.Contains(':', StringComparison.Ordinal))
            return null;
        var steps = name.Split('/').Where(step => step is not ("." or "")).ToList();
        return steps.Count == 0 || steps.Contains("..") || name.EndsWith('/') ? null : string.Join('/', steps);
    }
}
